//go:build linux

package interop

// The mock server of wsnotifytest with clients that are not of this project: what it says of them must
// not depend on whose they are.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/lxzan/gws"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// peerConn is a connection of some library. Something reads it until stop.
type peerConn interface {
	send(binary bool, data string) error
	close(code int, reason string)
	read() (data string, err error) // the next message
	raw() net.Conn
}

// peers dial with each library; the network carries the connection.
var peers = map[string]func(ctx context.Context, n *wsnotifytest.Network, url string, compress bool) (peerConn, error){
	"gorilla": dialGorilla, "coder": dialCoder, "gws": dialGWS,
}

// tap keeps the net.Conn under a connection.
type tap struct {
	n    *wsnotifytest.Network
	conn net.Conn
}

func (t *tap) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := t.n.DialContext(ctx, network, addr)
	t.conn = conn
	return conn, err
}

func trust(n *wsnotifytest.Network) *tls.Config {
	return n.HTTPClient().Transport.(*http.Transport).TLSClientConfig
}

type gorillaConn struct {
	c   *gorilla.Conn
	tap *tap
}

func dialGorilla(ctx context.Context, n *wsnotifytest.Network, url string, compress bool) (peerConn, error) {
	t := &tap{n: n}
	d := gorilla.Dialer{NetDialContext: t.dial, EnableCompression: compress, TLSClientConfig: trust(n)}
	c, _, err := d.DialContext(ctx, url, nil)
	return &gorillaConn{c, t}, err
}

func (g *gorillaConn) send(binary bool, data string) error {
	typ := gorilla.TextMessage
	if binary {
		typ = gorilla.BinaryMessage
	}
	return g.c.WriteMessage(typ, []byte(data))
}
func (g *gorillaConn) close(code int, reason string) {
	_ = g.c.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(code, reason), time.Now().Add(time.Second))
}
func (g *gorillaConn) read() (string, error) {
	_, data, err := g.c.ReadMessage()
	return string(data), err
}
func (g *gorillaConn) raw() net.Conn { return g.tap.conn }

type coderConn struct {
	c   *websocket.Conn
	tap *tap
}

func dialCoder(ctx context.Context, n *wsnotifytest.Network, url string, compress bool) (peerConn, error) {
	t := &tap{n: n}
	opt := &websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: t.dial, DisableKeepAlives: true, TLSClientConfig: trust(n)}}}
	if compress {
		opt.CompressionMode = websocket.CompressionContextTakeover
	}
	c, _, err := websocket.Dial(ctx, url, opt)
	if err == nil {
		c.SetReadLimit(-1)
	}
	return &coderConn{c, t}, err
}

func (c *coderConn) send(binary bool, data string) error {
	typ := websocket.MessageText
	if binary {
		typ = websocket.MessageBinary
	}
	return c.c.Write(context.Background(), typ, []byte(data))
}
func (c *coderConn) close(code int, reason string) {
	go c.c.Close(websocket.StatusCode(code), reason) // it waits for the answer
}
func (c *coderConn) read() (string, error) {
	_, data, err := c.c.Read(context.Background())
	return string(data), err
}
func (c *coderConn) raw() net.Conn { return c.tap.conn }

type gwsConn struct {
	gws.BuiltinEventHandler
	c     *gws.Conn
	tap   *tap
	start sync.Once
	got   chan string
	err   error
}

type gwsDialer struct{ t *tap }

func (d gwsDialer) Dial(network, addr string) (net.Conn, error) {
	return d.t.dial(context.Background(), network, addr)
}

func dialGWS(_ context.Context, n *wsnotifytest.Network, url string, compress bool) (peerConn, error) {
	g := &gwsConn{tap: &tap{n: n}, got: make(chan string, 1000)}
	c, _, err := gws.NewClient(g, &gws.ClientOption{
		Addr: url, NewDialer: func() (gws.Dialer, error) { return gwsDialer{g.tap}, nil }, TlsConfig: trust(n),
		PermessageDeflate: gws.PermessageDeflate{Enabled: compress, ServerContextTakeover: true, ClientContextTakeover: true, Threshold: 1},
	})
	g.c = c
	return g, err
}

func (g *gwsConn) OnMessage(_ *gws.Conn, m *gws.Message) { g.got <- m.Data.String(); m.Close() }
func (g *gwsConn) OnPing(c *gws.Conn, p []byte)          { _ = c.WritePong(p) }
func (g *gwsConn) OnClose(_ *gws.Conn, err error)        { g.err = err; close(g.got) }

func (g *gwsConn) send(binary bool, data string) error {
	typ := gws.OpcodeText
	if binary {
		typ = gws.OpcodeBinary
	}
	return g.c.WriteMessage(typ, []byte(data))
}
func (g *gwsConn) close(code int, reason string) { _ = g.c.WriteClose(uint16(code), []byte(reason)) }
func (g *gwsConn) read() (string, error) {
	g.start.Do(func() { go g.c.ReadLoop() })
	if data, ok := <-g.got; ok {
		return data, nil
	}
	return "", g.err
}
func (g *gwsConn) raw() net.Conn { return g.tap.conn }

// Clients that do the same are treated alike, and clients that do the same wrong.
func TestKitTreatsPeersAlike(t *testing.T) {
	type scenario struct {
		name   string
		tls    bool
		script []wsnotifytest.Step
		setup  func(s *wsnotifytest.Server)
		client func(t *testing.T, s *wsnotifytest.Server, c peerConn)
		want   []string // parts of what fails the test
	}
	drain := func(c peerConn) {
		for {
			if _, err := c.read(); err != nil {
				return
			}
		}
	}
	echo := func(t *testing.T, _ *wsnotifytest.Server, c peerConn) {
		for i := range 30 {
			want := strings.Repeat("mississippi ", i*i*10+1)
			if err := c.send(i%2 == 1, want); err != nil {
				t.Fatal(err)
			}
			if got, err := c.read(); err != nil || got != want {
				t.Fatalf("message %d came back as %.40q, %v", i, got, err)
			}
		}
	}
	setEcho := func(s *wsnotifytest.Server) { s.Echo(); s.Compress(true) }
	accept := []wsnotifytest.Step{wsnotifytest.Accept()}
	for _, sc := range []scenario{
		{name: "echo", setup: setEcho, client: echo},
		{name: "echo over TLS", tls: true, setup: setEcho, client: echo},
		{name: "ping", client: func(t *testing.T, s *wsnotifytest.Server, c peerConn) {
			k, _ := s.Conn(t.Context(), "ada")
			_, _ = k.Ping("payload"), k.SendText("behind it")
			_, _ = c.read()
			synctest.Wait()
			if got := k.Pongs(); !slices.Equal(got, []string{"payload"}) {
				t.Errorf("the pongs are %q", got)
			}
		}},
		{name: "the server closes", script: append(accept, wsnotifytest.CloseConn(1012, "restart")),
			client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) { drain(c) }},
		{name: "the client closes", script: append(accept, wsnotifytest.ExpectClose(4001)),
			client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) { c.close(4001, "bye"); drain(c) }},
		{name: "the wrong code", script: append(accept, wsnotifytest.ExpectClose(1000)),
			client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) { c.close(4001, "bye"); drain(c) },
			want:   []string{`step 2, ExpectClose(1000): got 4001, expected 1000; connection 1 of user "ada" was closed by the client with 4001, messages on it: []`}},
		{name: "the wrong message", script: append(accept, wsnotifytest.Expect("one"), wsnotifytest.Expect("two")),
			client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) {
				_ = c.send(false, "one")
				_ = c.send(true, "two")
			},
			want: []string{`step 3, Expect("two"): got binary "two", expected "two"; connection 1 of user "ada" is open, messages on it: ["one", binary "two"]`}},
		{name: "nothing", script: append(accept, wsnotifytest.Expect("one")),
			client: func(*testing.T, *wsnotifytest.Server, peerConn) {},
			want:   []string{`step 2, Expect("one"): waiting for "one", have none; connection 1 of user "ada" is open, messages on it: []: context deadline exceeded`}},
		{name: "a close frame that is not answered",
			client: func(t *testing.T, s *wsnotifytest.Server, _ peerConn) {
				k, _ := s.Conn(t.Context(), "ada")
				_ = k.Close(1000, "bye")
				time.Sleep(10 * time.Second)
			},
			want: []string{`connection 1 of user "ada": the close frame was not answered within 5s (section 5.5.1)`}},
		{name: "a frame without a mask",
			client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) {
				_, _ = c.raw().Write([]byte("\x81\x02hi"))
				drain(c)
			},
			want: []string{`connection 1 of user "ada": frame without a mask (section 5.1)`}},
		{name: "a pong with another payload",
			client: func(t *testing.T, s *wsnotifytest.Server, c peerConn) {
				k, _ := s.Conn(t.Context(), "ada")
				_ = k.Ping("right")
				_, _ = c.raw().Write([]byte("\x8a\x85\x00\x00\x00\x00wrong"))
				time.Sleep(time.Minute)
			},
			want: []string{`connection 1 of user "ada": ping "right" was answered with pong "wrong", expected the same payload (section 5.5.3)`}},
		{name: "a drop right after the handshake", script: append(accept, wsnotifytest.DropConn()), client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) { drain(c) }},
		{name: "a reset right after the handshake", script: append(accept, wsnotifytest.ResetConn()), client: func(_ *testing.T, _ *wsnotifytest.Server, c peerConn) { drain(c) }},
		{name: "a recording", setup: func(s *wsnotifytest.Server) { s.Replay(kitRecording(t)) },
			client: func(t *testing.T, s *wsnotifytest.Server, c peerConn) {
				if got, err := c.read(); got != "ask" {
					t.Error(got, err)
				}
				_ = c.send(false, "answer")
				drain(c)
				if err := s.WaitReplay(t.Context()); err != nil {
					t.Error(err)
				}
			}},
		{name: "another recording", setup: func(s *wsnotifytest.Server) { s.Replay(kitRecording(t)) },
			client: func(t *testing.T, s *wsnotifytest.Server, c peerConn) {
				_, _ = c.read()
				_ = c.send(false, "no answer")
				_ = s.WaitReplay(t.Context())
			},
			want: []string{`differs from the recording at event 3, after 2s on connection 1: expected text "answer", got text "no answer"; connection 1 of user "ada" is open, messages on it: ["no answer"]`}},
	} {
		for name, dial := range peers {
			t.Run(sc.name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &testkit.Recorder{TB: t}
					n := wsnotifytest.NewNetwork(r)
					s := n.NewServer()
					if sc.tls {
						s = n.NewTLSServer()
					}
					if sc.setup != nil {
						sc.setup(s)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					wait := func() error { return nil }
					if sc.script != nil {
						wait = s.Script(ctx, sc.script...)
					}
					c, err := dial(ctx, n, s.URL()+"ada", sc.setup != nil)
					if err != nil {
						t.Fatal("the server accepts, and the dial fails:", err)
					}
					sc.client(t, s, c)
					_ = wait()
					synctest.Wait()
					_ = c.raw().Close()
					go drain(c)
					synctest.Wait()
					errs := r.End()
					if len(errs) != len(sc.want) {
						t.Fatalf("%q, want %q", errs, sc.want)
					}
					for i, want := range sc.want {
						if !strings.Contains(errs[i], want) {
							t.Errorf("%s\nwant %s", errs[i], want)
						}
					}
				})
			})
		}
	}
}

func kitRecording(t *testing.T) *wsnotifytest.Recording {
	rec, err := wsnotifytest.ReadRecording(strings.NewReader(`{"t":0,"conn":1,"dir":"out","type":"open"}
{"t":1000000000,"conn":1,"dir":"in","type":"text","text":"ask"}
{"t":2000000000,"conn":1,"dir":"out","type":"text","text":"answer"}
{"t":3000000000,"conn":1,"dir":"in","type":"close","code":1000,"reason":"bye"}
{"t":3000000000,"conn":1,"dir":"out","type":"close","code":1000}
`))
	if err != nil {
		t.Fatal(err)
	}
	return rec
}
