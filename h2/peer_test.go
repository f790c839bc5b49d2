package h2

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv("WSNOTIFY_H2_SERVER") != "" {
		serveGo()
		return
	}
	testkit.Main(m, "wsnotify")
}

// world is a bubble with a Transport whose every dial reaches a script.
type world struct {
	*testing.T
	tr *Transport

	mu     sync.Mutex
	peers  []*peer
	script func(*peer)
	ending sync.WaitGroup
	open   atomic.Int64 // connections that the Transport has not closed
}

// inBubble runs f in virtual time. Each connection of tr reaches script; nothing
// may be left when f has returned and tr is closed.
func inBubble(t *testing.T, tr *Transport, script func(*peer), f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, tr: tr, script: script}
		tr.PriorKnowledge = true
		if tr.DialContext == nil {
			tr.DialContext = w.dial
		}
		f(w)
		began := time.Now()
		tr.Close()
		if took := time.Since(began); took > 2*goodbye {
			t.Errorf("Close took %v", took)
		}
		w.ending.Wait()
		if n := w.open.Load(); n != 0 {
			t.Errorf("%d connections were left open", n)
		}
	})
}

func (w *world) dial(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	w.mu.Lock()
	defer w.mu.Unlock()
	p := newPeer(w.T, far, len(w.peers)+1)
	w.peers = append(w.peers, p)
	w.open.Add(1)
	w.ending.Go(p.collect)
	w.ending.Go(func() {
		w.script(p)
		p.Close()
	})
	return &nearConn{Conn: near, closed: sync.OnceFunc(func() { w.open.Add(-1) })}, nil
}

type nearConn struct {
	net.Conn
	closed func()
}

func (c *nearConn) Close() error { c.closed(); return c.Conn.Close() }

// dials counts the connections so far.
func (w *world) dials() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.peers)
}

func (w *world) wantDials(n int) {
	w.Helper()
	if got := w.dials(); got != n {
		w.Errorf("%d dials and not %d", got, n)
	}
}

// onFirst is script for the first connection; the others echo.
func onFirst(script func(*peer)) func(*peer) {
	return func(p *peer) {
		if p.nth > 1 {
			echo(p)
			return
		}
		script(p)
	}
}

// silentAfter accepts so many streams, and says nothing more.
func silentAfter(streams int, settings ...http2.Setting) func(*peer) {
	return func(p *peer) {
		p.settings(settings...)
		for range streams {
			p.accept()
		}
		p.silence()
	}
}

// handshake makes the request of a client.
func (w *world) handshake(ctx context.Context) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://server/ws?token=hunter2", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return w.tr.RoundTrip(r)
}

// connect opens a stream.
func (w *world) connect() net.Conn {
	w.Helper()
	resp, err := w.handshake(w.Context())
	if err != nil {
		w.Fatalf("the handshake: %v", err)
	}
	if resp.StatusCode != 101 {
		w.Fatalf("the status %d", resp.StatusCode)
	}
	return resp.Body.(net.Conn)
}

// pass lets virtual time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// frame is one that a peer got.
type frame struct {
	http2.FrameHeader
	code      http2.ErrCode // of RST_STREAM and GOAWAY
	increment uint32
	ping      [8]byte
	data      []byte
	fields    map[string]string
}

// peer is the server's end of a connection: it sends the frames that a script
// tells it to, right or wrong, and collects those of the client.
type peer struct {
	t *testing.T
	net.Conn
	nth   int           // of the Transport's connections, from 1
	gone  chan struct{} // closed when the client has gone
	fr    *http2.Framer // writes
	enc   *hpack.Encoder
	block bytes.Buffer

	mu   sync.Mutex
	more sync.Cond
	got  []frame
	end  bool
	stop chan struct{} // if not nil, nothing is read until it is closed
}

func newPeer(t *testing.T, conn net.Conn, nth int) *peer {
	p := &peer{t: t, Conn: conn, nth: nth, gone: make(chan struct{}), fr: http2.NewFramer(conn, nil)}
	p.fr.AllowIllegalWrites = true
	p.enc = hpack.NewEncoder(&p.block)
	p.more.L = &p.mu
	return p
}

func (p *peer) collect() {
	defer close(p.gone)
	defer func() {
		p.mu.Lock()
		p.end = true
		p.more.Broadcast()
		p.mu.Unlock()
	}()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p, preface); err != nil {
		return
	}
	if string(preface) != http2.ClientPreface {
		p.t.Errorf("the preface is %q", preface)
	}
	fr := http2.NewFramer(nil, p)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		p.mu.Lock()
		stop := p.stop
		p.mu.Unlock()
		if stop != nil {
			<-stop
		}
		f, err := fr.ReadFrame()
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, io.ErrUnexpectedEOF) {
				p.t.Errorf("the client sent what can't be read: %v", err)
			}
			return
		}
		one := frame{FrameHeader: f.Header()}
		switch f := f.(type) {
		case *http2.DataFrame:
			one.data = bytes.Clone(f.Data())
		case *http2.RSTStreamFrame:
			one.code = f.ErrCode
		case *http2.GoAwayFrame:
			one.code = f.ErrCode
		case *http2.WindowUpdateFrame:
			one.increment = f.Increment
		case *http2.PingFrame:
			one.ping = f.Data
		case *http2.MetaHeadersFrame:
			one.fields = map[string]string{}
			for _, hf := range f.Fields {
				one.fields[hf.Name] = hf.Value
			}
		}
		p.mu.Lock()
		p.got = append(p.got, one)
		p.more.Broadcast()
		p.mu.Unlock()
	}
}

// stopReading reads nothing from here on, but for a frame that is under way.
func (p *peer) stopReading() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = make(chan struct{})
}

// next waits for a frame of a type, and drops those before it.
func (p *peer) next(kind http2.FrameType) (frame, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.got) > 0 {
			one := p.got[0]
			p.got = p.got[1:]
			if one.Type == kind {
				return one, true
			}
		}
		if p.end {
			return frame{}, false
		}
		p.more.Wait()
	}
}

// has reports how many frames of a type came and were not taken.
func (p *peer) has(kind http2.FrameType) (n int) {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, one := range p.got {
		if one.Type == kind {
			n++
		}
	}
	return n
}

// settings sends those of a server that supports WebSockets, and more.
func (p *peer) settings(more ...http2.Setting) {
	p.fr.WriteSettings(append([]http2.Setting{{ID: http2.SettingEnableConnectProtocol, Val: 1}}, more...)...)
}

// headers sends a block of them. The fields are names and values in turn.
func (p *peer) headers(id uint32, end bool, fields ...string) {
	p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.encode(fields...), EndHeaders: true, EndStream: end})
}

func (p *peer) encode(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return p.block.Bytes()
}

// accept accepts the next request, and returns its stream.
func (p *peer) accept() uint32 {
	f, ok := p.next(http2.FrameHeaders)
	if !ok {
		return 0
	}
	p.headers(f.StreamID, false, ":status", "200")
	return f.StreamID
}

// silence waits for the client to go.
func (p *peer) silence() { <-p.gone }

// serve accepts every stream, answers PINGs, and sends back what comes as far as
// the client's windows allow.
func (p *peer) serve() {
	type state struct {
		window  int
		pending []byte
		end     bool
	}
	streams, whole := map[uint32]*state{}, defaultWindow
	of := func(id uint32) *state {
		if streams[id] == nil {
			streams[id] = &state{window: streamWindow}
		}
		return streams[id]
	}
	flush := func(id uint32, s *state) {
		for {
			n := min(len(s.pending), s.window, whole, maxFrame)
			if n <= 0 && !(s.end && len(s.pending) == 0) {
				return
			}
			p.fr.WriteData(id, s.end && n == len(s.pending), s.pending[:n])
			s.pending = s.pending[n:]
			s.window -= n
			whole -= n
			if len(s.pending) == 0 {
				s.end = false
				return
			}
		}
	}
	for {
		p.mu.Lock()
		for len(p.got) == 0 && !p.end {
			p.more.Wait()
		}
		if len(p.got) == 0 {
			p.mu.Unlock()
			return
		}
		f := p.got[0]
		p.got = p.got[1:]
		p.mu.Unlock()
		switch f.Type {
		case http2.FrameHeaders:
			p.headers(f.StreamID, false, ":status", "200")
		case http2.FrameData:
			if len(f.data) > 0 {
				p.fr.WriteWindowUpdate(0, uint32(len(f.data)))
				p.fr.WriteWindowUpdate(f.StreamID, uint32(len(f.data)))
			}
			s := of(f.StreamID)
			s.pending, s.end = append(s.pending, f.data...), f.Flags.Has(http2.FlagDataEndStream)
			flush(f.StreamID, s)
		case http2.FrameWindowUpdate:
			if f.StreamID == 0 {
				whole += int(f.increment)
			} else {
				of(f.StreamID).window += int(f.increment)
			}
			for id, s := range streams {
				flush(id, s)
			}
		case http2.FrameRSTStream:
			streams[f.StreamID] = &state{}
		case http2.FramePing:
			if !f.Flags.Has(http2.FlagPingAck) {
				p.fr.WritePing(true, f.ping)
			}
		}
	}
}

// echo is a server without faults.
func echo(p *peer) { p.settings(); p.serve() }
