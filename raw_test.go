package wsnotify_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// rawNet is a harness.RawNet with short names.
type rawNet struct {
	script func(*rawPeer)

	shared            *harness.RawNet
	dials, open, read *atomic.Int64
	ending            *sync.WaitGroup
}

func (n *rawNet) use(shared *harness.RawNet) *rawNet {
	n.shared = shared
	n.dials, n.open, n.read, n.ending = &shared.Dials, &shared.Open, &shared.Read, &shared.Ending
	return n
}

// of is the RawNet of a rawNet, also of one that a test has made itself.
func (n *rawNet) of() *harness.RawNet {
	if n.shared == nil {
		n.use(&harness.RawNet{Script: scriptOf(n.script)})
	}
	return n.shared
}

func (n *rawNet) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return n.of().Dial(ctx, network, addr)
}
func (n *rawNet) dialBehind(wrap func(net.Conn) net.Conn) (net.Conn, error) {
	return n.of().DialBehind(wrap)
}

// rawPeer is a harness.Peer with short names.
type rawPeer struct{ *harness.Peer }

func scriptOf(script func(*rawPeer)) func(*harness.Peer) {
	return func(p *harness.Peer) { script(&rawPeer{p}) }
}

func rawScriptOf(script func(*harness.Peer)) func(*rawPeer) {
	return func(p *rawPeer) { script(p.Peer) }
}

func (p *rawPeer) stopReading()                       { p.StopReading() }
func (p *rawPeer) take(find func([]byte) int) []byte  { return p.Take(find) }
func (p *rawPeer) request() string                    { return p.Request() }
func (p *rawPeer) closed() []byte                     { return p.Closed() }
func (p *rawPeer) write(s string) error               { return p.Send(s) }
func (p *rawPeer) frames(bs ...[]byte)                { p.Frames(bs...) }
func (p *rawPeer) fin()                               { p.Fin() }
func (p *rawPeer) rst()                               { p.RST() }
func (p *rawPeer) answer(response string)             { p.Answer(response) }
func (p *rawPeer) drip(s string, every time.Duration) { p.Drip(s, every) }
func (p *rawPeer) rest(d time.Duration) bool          { return p.Rest(d) }
func (p *rawPeer) silence()                           { p.Silence() }
func (p *rawPeer) accept(headers ...string)           { p.Accept(headers...) }

func (p *rawPeer) frame() (refFrame, bool) {
	f, ok := p.Frame()
	return refOf(f), ok
}

// refFrame is a harness.Frame with short names.
type refFrame struct {
	fin, masked bool
	rsv, opcode byte
	size        uint64
	minimal     bool
	payload     []byte
}

func refOf(f harness.Frame) refFrame {
	return refFrame{f.Fin, f.Masked, f.RSV, f.Opcode, f.Size, f.Minimal, f.Payload}
}

func refDecode(b []byte) (refFrame, int) {
	f, n := harness.Decode(b)
	return refOf(f), n
}

// What scripts are made of.
func frame(fin bool, opcode byte, payload string) []byte {
	return harness.FrameOf(fin, opcode, payload)
}
func text(s string) []byte                      { return harness.Text(s) }
func binaryOf(s string) []byte                  { return harness.Binary(s) }
func ping(s string) []byte                      { return harness.Ping(s) }
func pong(s string) []byte                      { return harness.Pong(s) }
func closeFrame(code int, reason string) []byte { return harness.CloseFrame(code, reason) }
func reserved(bits byte, frame []byte) []byte   { return harness.Reserved(bits, frame) }

func fragments(opcode byte, parts ...string) [][]byte { return harness.Fragments(opcode, parts...) }
func list(frames ...[]byte) [][]byte                  { return frames }

func switching(request string, headers ...string) string {
	return harness.Switching(request, headers...)
}
func response(status int, body string, headers ...string) string {
	return harness.Response(status, body, headers...)
}
func answers(response string) func(*rawPeer)   { return rawScriptOf(harness.Answers(response)) }
func flood(n int, frame []byte) func(*rawPeer) { return rawScriptOf(harness.Flood(n, frame)) }
func accepts(then func(*rawPeer), headers ...string) func(*rawPeer) {
	return rawScriptOf(harness.Accepts(scriptOf(then), headers...))
}

// inRawBubble is inBubble with a script for a server.
func inRawBubble(t *testing.T, cfg wsnotify.Config, script func(*rawPeer), f func(*world, *rawNet)) {
	t.Helper()
	harness.InRawBubble(t, cfg, scriptOf(script), func(w *harness.World, n *harness.RawNet) {
		worldOf(w).run(func(w *world) { f(w, (&rawNet{script: script}).use(n)) })
	})
}

// onLoopback is the same script behind a real socket; it returns the address.
func onLoopback(t *testing.T, config *tls.Config, script func(*rawPeer)) string {
	t.Helper()
	return harness.OnLoopback(t, config, scriptOf(script))
}

func mustParse(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(err)
	}
	return u
}
