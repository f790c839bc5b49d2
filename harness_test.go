package wsnotify_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// What internal/harness does, under short names: see there.

// TestMain fails when a goroutine is left by any test.
func TestMain(m *testing.M) { harness.Main(m) }

const underRace = harness.UnderRace

// world is a harness.World with short names.
type world struct {
	*testing.T
	net    *wsnotifytest.Network
	srv    *wsnotifytest.Server
	c      *wsnotify.Client
	start  time.Time
	shared *harness.World
}

func worldOf(w *harness.World) *world {
	return &world{T: w.T, net: w.Net, srv: w.Server, c: w.Client, start: w.Start, shared: w}
}

// of is the World of a world, also of one that a test has made itself.
func (w *world) of() *harness.World {
	if w.shared == nil {
		w.shared = &harness.World{T: w.T, Net: w.net, Server: w.srv, Client: w.c, Start: w.start}
	}
	return w.shared
}

// run runs f, which may make another client: that is the one to close then.
func (w *world) run(f func(*world)) {
	defer func() { w.shared.Client = w.c }()
	f(w)
}

func (w *world) connect() *wsnotifytest.Conn {
	w.Helper()
	w.of().Client = w.c
	return w.of().Connect()
}

// running calls Run as ada and returns once it is open, and what Run will return.
func (w *world) running(ctx context.Context) <-chan error {
	w.Helper()
	ran := make(chan error, 1)
	go func() { ran <- w.c.Run(ctx, w.srv.URL(), "ada") }()
	w.must(w.c.WaitFor(ctx, wsnotify.Open))
	return ran
}

func (w *world) config(cfg wsnotify.Config) wsnotify.Config { return w.of().Config(cfg) }
func (w *world) note(format string, args ...any)            { w.of().Note(format, args...) }
func (w *world) pass(d time.Duration)                       { w.of().Pass(d) }
func (w *world) journal() []string                          { return w.of().Journal() }

func (w *world) conn() *wsnotifytest.Conn  { w.Helper(); return w.of().Conn() }
func (w *world) expect(want ...string)     { w.Helper(); w.of().Expect(want...) }
func (w *world) must(err error)            { w.Helper(); w.of().Must(err) }
func (w *world) wantErr(err, target error) { w.Helper(); w.of().WantErr(err, target) }
func kind(err error) string                { return harness.Kind(err) }
func describe(f wsnotify.Failure) string   { return harness.Describe(f) }
func checkShown(t *testing.T, text string) { t.Helper(); harness.CheckShown(t, text) }
func never() wsnotify.BackOff              { return harness.Never() }

// inBubble runs f in virtual time, with the client of cfg, a network and a server.
func inBubble(t *testing.T, cfg wsnotify.Config, f func(*world)) {
	t.Helper()
	harness.InBubble(t, cfg, func(w *harness.World) { worldOf(w).run(f) })
}

// bubbleWorld is a world in the bubble of t, whose client has cfg and no journal.
func bubbleWorld(t *testing.T, cfg wsnotify.Config) *world {
	w := &world{T: t, net: wsnotifytest.NewNetwork(t), start: time.Now()}
	w.srv = w.net.NewServer()
	cfg.HTTPClient = w.net.HTTPClient()
	w.c = wsnotify.New(cfg)
	return w
}

// rawServer is a server on loopback that upgrades every connection and runs script
// with it, and allocates nothing else.
func rawServer(t testing.TB, script func(net.Conn)) (url string) {
	t.Helper()
	return rawServerBehind(t, func(conn net.Conn) net.Conn { return conn }, script)
}

// rawServerBehind is rawServer behind what wrap makes of its end, such as TLS.
func rawServerBehind(t testing.TB, wrap func(net.Conn) net.Conn, script func(net.Conn)) (url string) {
	t.Helper()
	return "ws://" + testkit.Listen(t, func(conn net.Conn) {
		conn = wrap(conn)
		defer conn.Close()
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:]))
		script(conn)
	}) + "/"
}
