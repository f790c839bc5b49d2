package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nuid"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

// Three NATS servers and three replicas, processes all. The holder is killed, then
// the leader of the stream, then the holder is stopped for twice its lease, while the
// server drops all connections again and again.
func TestCluster(t *testing.T) {
	nodes, urls := cluster(t)
	ctx := within(t, 100*time.Second)
	o := options{nats: urls, prefix: "test-" + nuid.Next(), lease: 2 * time.Second, copies: 3}
	s := sceneWithin(t, ctx, o)
	t.Run("Rules", func(t *testing.T) { testRules(t, urls, 3) })

	for i := range 3 {
		if err := s.start(fmt.Sprintf("replica-%d", i+1)); err != nil {
			t.Fatal(err)
		}
	}
	<-s.n.connected
	talk := s.talk(ctx)
	drops, stopDrops := context.WithCancel(ctx)
	defer stopDrops()
	go func() {
		for drops.Err() == nil {
			time.Sleep(700 * time.Millisecond)
			s.n.drop()
		}
	}()
	within := func(what string, took time.Duration) {
		t.Logf("%s: another one had the socket after %.2f s", what, took.Seconds())
		if took > o.lease+2*time.Second {
			t.Errorf("%s: it took %v, expected at most %v", what, took, o.lease+2*time.Second)
		}
	}

	time.Sleep(time.Second)
	from, _, took, err := s.takeover(ctx, func(name string) error { s.kill(name); return nil })
	if err != nil {
		t.Fatal(err)
	}
	within("killed", took)
	if err := s.start(from); err != nil {
		t.Fatal(err)
	}

	stream, err := s.b.js.Stream(ctx, s.b.events())
	if err != nil {
		t.Fatal(err)
	}
	leader := nodes[slices.IndexFunc(nodes, func(n *node) bool { return n.Name == stream.CachedInfo().Cluster.Leader })]
	handled := s.tally.handled()
	began := time.Now()
	leader.kill()
	// What was under way at the leader may be handled a moment longer.
	if err := until(ctx, func() bool { return s.tally.handled() > handled+200 }); err != nil {
		t.Fatal(err)
	}
	t.Logf("the leader of the stream was killed; 200 more events were handled after %.2f s", time.Since(began).Seconds())
	leader.start(t)
	if err := until(ctx, func() bool { return s.holder(ctx) != "" }); err != nil {
		t.Fatal(err)
	}

	time.Sleep(o.lease)
	from, _, took, err = s.takeover(ctx, func(name string) error { return stop(s.replicas[name].Process) })
	if err != nil {
		t.Fatal(err)
	}
	within("stopped", took)
	time.Sleep(2*o.lease - took)
	before := strings.Count(s.log.(*testkit.Buffer).String(), "no longer the holder\" name="+from)
	if err := cont(s.replicas[from].Process); err != nil {
		t.Fatal(err)
	}
	err = until(ctx, func() bool {
		return strings.Count(s.log.(*testkit.Buffer).String(), "no longer the holder\" name="+from) > before
	})
	if err != nil {
		t.Fatalf("%s went on and did not find that it is fenced", from)
	}

	stopDrops()
	sent := talk()
	if err := s.awaitIdle(ctx, sent); err != nil {
		t.Fatal(err)
	}
	s.check(t, ctx, sent)
	through, err := s.through(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := s.bare(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.0f events a second through socket, stream and workers; %.0f with a bare publish and consume", through, bare)
}

func sceneWithin(t *testing.T, ctx context.Context, o options) (s *scene) {
	t.Helper()
	log := &testkit.Buffer{}
	// A cluster needs a moment until it has elected a leader.
	err := until(ctx, func() (ok bool) {
		var err error
		if s, err = newScene(o, log); err != nil {
			t.Log("the cluster is not ready: ", err)
		}
		return err == nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.end()
		if t.Failed() {
			t.Logf("the replicas' log:\n%s", log)
		}
	})
	return s
}

// check verifies that nothing was lost and the order is right, and counts what came twice.
func (s *scene) check(t *testing.T, ctx context.Context, sent int) {
	t.Helper()
	stored, err := s.stored(ctx)
	if err != nil {
		t.Fatal(err)
	}
	emitted := len(s.n.events)
	arrived, again := s.n.sent()
	t.Logf("%d events: %d stored, %d handled, %d handled twice; %d messages: %d arrived, %d of them again",
		emitted, stored, s.tally.handled(), s.tally.twice, sent, len(arrived), again)
	if stored != emitted || s.tally.handled() != emitted {
		t.Errorf("of %d events %d were stored and %d handled", emitted, stored, s.tally.handled())
	}
	if s.tally.disorder != 0 {
		t.Errorf("%d events were handled behind later ones of their user", s.tally.disorder)
	}
	for i, text := range arrived {
		if want := fmt.Sprint("message ", i+1); text != want {
			t.Fatalf("%q arrived, expected %q", text, want)
		}
	}
	if len(arrived) != sent {
		t.Errorf("of %d messages %d arrived", sent, len(arrived))
	}
}

// What go run does. It ends by itself.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := demo(t.Context(), options{prefix: "test", lease: time.Second, copies: 1}, io.MultiWriter(&out, t.Output())); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"killed with -9", "goes on, after twice the lease", "ended;", " 0 out of order", "bare publish"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}
