package wsnotify_test

import (
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
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

func (w *world) config(cfg wsnotify.Config) wsnotify.Config { return w.of().Config(cfg) }
func (w *world) note(format string, args ...any)            { w.of().Note(format, args...) }
func (w *world) pass(d time.Duration)                       { w.of().Pass(d) }
func (w *world) journal() []string                          { return w.of().Journal() }

func (w *world) conn() *wsnotifytest.Conn    { w.Helper(); return w.of().Conn() }
func (w *world) expect(want ...string)       { w.Helper(); w.of().Expect(want...) }
func (w *world) must(err error)              { w.Helper(); w.of().Must(err) }
func (w *world) wantErr(err, target error)   { w.Helper(); w.of().WantErr(err, target) }
func before[T any](f, first func(T)) func(T) { return harness.Before(f, first) }
func kind(err error) string                  { return harness.Kind(err) }
func describe(f wsnotify.Failure) string     { return harness.Describe(f) }
func checkShown(t *testing.T, text string)   { t.Helper(); harness.CheckShown(t, text) }
func never() wsnotify.BackOff                { return harness.Never() }

// What no test uses at the moment.
var _ = []any{before[int], answers, acceptsDeaf, (*world).config, (*rawNet).client}

// inBubble runs f in virtual time, with the client of cfg, a network and a server.
func inBubble(t *testing.T, cfg wsnotify.Config, f func(*world)) {
	t.Helper()
	harness.InBubble(t, cfg, func(w *harness.World) { worldOf(w).run(f) })
}
