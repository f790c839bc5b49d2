package h2

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// The tests of this file use the HTTP/2 server of net/http, in a process of its
// own: it has extended CONNECT only if GODEBUG says so when the process begins.

// serveGo is that process. It prints its address and its certificate, and ends
// with its standard input.
func serveGo() {
	server := httptest.NewUnstartedServer(http.HandlerFunc(serveStream))
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10_000}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	fmt.Println(server.Listener.Addr())
	pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	fmt.Println()
	io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// serveStream is a WebSocket server that sends back what it gets.
func serveStream(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/refuse") {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "come back later", http.StatusServiceUnavailable)
		return
	}
	if r.Method != http.MethodConnect || r.Header.Get(":protocol") != "websocket" {
		http.Error(w, "no WebSocket", http.StatusBadRequest)
		return
	}
	out := http.NewResponseController(w)
	w.WriteHeader(http.StatusOK)
	out.Flush()
	var got []byte
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(buf)
		got = append(got, buf[:n]...)
		for {
			f, size := harness.Decode(got)
			if size == 0 {
				break
			}
			got = got[size:]
			switch f.Opcode {
			case 1, 2:
				if string(f.Payload) == "reset" {
					panic(http.ErrAbortHandler)
				}
				w.Write(harness.FrameOf(true, f.Opcode, string(f.Payload)))
			case 8:
				w.Write(harness.FrameOf(true, 8, string(f.Payload)))
				out.Flush()
				return
			case 9:
				w.Write(harness.Pong(string(f.Payload)))
			}
			out.Flush()
		}
		if err != nil {
			return
		}
	}
}

// startGoServer starts that process, and returns its address and who trusts it.
func startGoServer() (addr string, roots *x509.CertPool, stop func(), err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1", "WSNOTIFY_H2_SERVER=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, nil, err
	}
	stop = func() { in.Close(); cmd.Wait() }
	r := bufio.NewReader(out)
	addr, _ = r.ReadString('\n')
	var certificate bytes.Buffer
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\n" {
			break
		}
		certificate.WriteString(line)
	}
	roots = x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate.Bytes()) {
		stop()
		return "", nil, nil, fmt.Errorf("the server says %q and %q", addr, certificate.String())
	}
	return strings.TrimSpace(addr), roots, stop, nil
}

func goServer(t testing.TB) (addr string, roots *x509.CertPool) {
	t.Helper()
	addr, roots, stop, err := startGoServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return addr, roots
}

// relay passes connections on to addr, and can break them.
type relay struct {
	net.Listener
	accepted atomic.Int64

	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t testing.TB, addr string) *relay {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			r.accepted.Add(1)
			far, err := net.Dial("tcp", addr)
			if err != nil {
				near.Close()
				continue
			}
			r.mu.Lock()
			r.conns = append(r.conns, near, far)
			r.mu.Unlock()
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				all.Go(func() {
					io.Copy(pair[0], pair[1])
					pair[0].Close()
					pair[1].Close()
				})
			}
		}
	})
	t.Cleanup(func() { l.Close(); r.cut(); all.Wait() })
	return r
}

// cut breaks all connections.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		conn.Close()
	}
	r.conns = nil
}

func TestGoServer(t *testing.T) {
	addr, roots := goServer(t)
	tr := &Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.Close()
	got := make(chan string, 100)
	closed := make(chan wsnotify.CloseEvent, 10)
	client := wsnotify.New(wsnotify.Config{
		HTTPClient: &http.Client{Transport: tr},
		BackOff:    wsnotify.Exponential(time.Millisecond, time.Millisecond, 3),
		OnMessage:  func(m wsnotify.Message) { got <- string(m.Data) },
		OnClose:    func(ev wsnotify.CloseEvent) { closed <- ev },
	})
	ctx := harness.Deadline(t)
	if err := client.Connect(ctx, "wss://"+addr+"/ws/", "ada"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("0123456789", 100_000)
	for _, text := range []string{"hello", long} {
		if err := client.Send(ctx, wsnotify.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if echo := <-got; echo != text {
			t.Errorf("%.50q came back", echo)
		}
	}
	if _, err := client.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
	client.Send(ctx, wsnotify.MessageText, []byte("reset"))
	if ev := <-closed; ev.Code != 1006 || ev.Failure.Initiator != wsnotify.Network || !strings.Contains(ev.Failure.Err.Error(), "reset the stream") {
		t.Errorf("a stream that is reset: %+v", ev)
	}
	if err := client.WaitFor(ctx, wsnotify.Open); err != nil {
		t.Fatal(err)
	}
	if err := client.Disconnect(); err != nil {
		t.Errorf("Disconnect: %v", err)
	}
	if ev := <-closed; !ev.WasClean || ev.Code != 1000 {
		t.Errorf("%+v", ev)
	}

	client = wsnotify.New(wsnotify.Config{HTTPClient: &http.Client{Transport: tr}, BackOff: wsnotify.Exponential(time.Millisecond, time.Millisecond, 0)})
	err := client.Connect(ctx, "wss://"+addr+"/refuse/", "ada")
	f := client.Status().LastFailure
	if f == nil || f.HTTPStatus != 503 || f.RetryAfter != 7*time.Second || !strings.Contains(err.Error(), "come back later") {
		t.Errorf("%+v, %v", f, err)
	}
}

// A thousand clients are streams of one connection. When it dies, they come
// back over one.
func TestThousandClientsOnOneConnection(t *testing.T) {
	n := 1000
	if testing.Short() || harness.UnderRace {
		n = 200
	}
	addr, roots := goServer(t)
	relay := newRelay(t, addr)
	tr := &Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer tr.Close()
	ctx := harness.Deadline(t)
	var opened, received, abnormal atomic.Int64
	before := memory()
	clients := make([]*wsnotify.Client, n)
	var all sync.WaitGroup
	for i := range clients {
		clients[i] = wsnotify.New(wsnotify.Config{
			HTTPClient: &http.Client{Transport: tr},
			BackOff:    wsnotify.Exponential(50*time.Millisecond, time.Second, -1),
			OnOpen:     func(wsnotify.OpenEvent) { opened.Add(1) },
			OnMessage:  func(wsnotify.Message) { received.Add(1) },
			OnClose: func(ev wsnotify.CloseEvent) {
				if ev.Code == wsnotify.StatusAbnormalClosure && ev.Failure.Initiator == wsnotify.Network {
					abnormal.Add(1)
				}
			},
		})
		all.Go(func() {
			if err := clients[i].Connect(ctx, "wss://"+relay.Addr().String()+"/ws/", fmt.Sprint(i)); err != nil {
				t.Errorf("Connect: %v", err)
			}
		})
	}
	all.Wait()
	if c := relay.accepted.Load(); c != 1 {
		t.Errorf("%d connections", c)
	}
	t.Logf("%d bytes of heap and stacks for each client", (memory()-before)/uint64(n))
	exchange := func() {
		received.Store(0)
		for _, c := range clients {
			all.Go(func() {
				if err := c.Send(ctx, wsnotify.MessageText, []byte(`{"msgType":"a","content":"b"}`)); err != nil {
					t.Errorf("Send: %v", err)
				}
			})
		}
		all.Wait()
		until(t, "every echo", func() bool { return received.Load() == int64(n) })
	}
	exchange()
	relay.cut()
	until(t, "every client to come back", func() bool { return opened.Load() == 2*int64(n) })
	if c := relay.accepted.Load(); c != 2 || abnormal.Load() != int64(n) {
		t.Errorf("%d connections, %d abnormal closures by the network", c, abnormal.Load())
	}
	exchange()
	for _, c := range clients {
		all.Go(func() {
			if err := c.Disconnect(); err != nil {
				t.Errorf("Disconnect: %v", err)
			}
			<-c.Done()
		})
	}
	all.Wait()
	if c := relay.accepted.Load(); c != 2 {
		t.Errorf("%d connections", c)
	}
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// until waits for what no channel tells.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}
