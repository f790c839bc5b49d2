package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// scene is all of it on one machine, for the demo and the tests: a server that
// notifies, workers in this process, and replicas as processes that can be killed.
type scene struct {
	o      options
	b      *broker
	n      *notifier
	log    io.Writer // of the replicas
	tally  tally
	ctx    context.Context
	cancel context.CancelFunc
	parts  sync.WaitGroup

	replicas map[string]*process
}

type process struct {
	*exec.Cmd
	leash io.Closer
}

// tally is what was handled.
type tally struct {
	mu       sync.Mutex
	times    map[int64]int    // by event
	last     map[string]int64 // by user
	twice    int
	disorder int // events that came behind a later one of their user
}

func (t *tally) handle(ev event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times[ev.ID]++
	switch {
	case t.times[ev.ID] > 1:
		t.twice++
	case ev.ID < t.last[ev.User]:
		t.disorder++
	default:
		t.last[ev.User] = ev.ID
	}
}

func (t *tally) handled() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.times)
}

// newScene starts everything but the replicas.
func newScene(o options, log io.Writer) (*scene, error) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &scene{
		o: o, log: log, ctx: ctx, cancel: cancel, replicas: map[string]*process{},
		tally: tally{times: map[int64]int{}, last: map[string]int64{}},
	}
	var err error
	if s.b, err = connect(o.nats, o.prefix); err != nil {
		cancel()
		return nil, err
	}
	if err := s.b.setUp(ctx, o.copies); err != nil {
		s.end()
		return nil, err
	}
	if s.n, err = newNotifier(); err != nil {
		s.end()
		return nil, err
	}
	for range 2 {
		s.parts.Go(func() {
			if err := work(ctx, s.b, slog.New(slog.NewTextHandler(log, nil)), s.tally.handle); err != nil {
				fmt.Fprintln(log, "a worker ended:", err)
			}
		})
	}
	return s, nil
}

// end ends all processes and workers. What is left in the broker stays.
func (s *scene) end() {
	s.cancel()
	for name := range s.replicas {
		s.kill(name)
	}
	s.parts.Wait()
	if s.n != nil {
		s.n.close()
	}
	s.b.nc.Close()
}

// start starts a replica: this program once more.
func (s *scene) start(name string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(exe, "-leash", "-role", "replica", "-name", name, "-nats", s.o.nats, "-server", s.n.url(),
		"-prefix", s.o.prefix, "-lease", s.o.lease.String(), "-copies", fmt.Sprint(s.o.copies))
	cmd.Env = append(os.Environ(), "REPLICAS_MAIN=1") // for the tests' own program
	cmd.Stdout, cmd.Stderr = s.log, s.log
	leash, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s.replicas[name] = &process{cmd, leash}
	return nil
}

// kill is kill -9.
func (s *scene) kill(name string) {
	p := s.replicas[name]
	p.Process.Kill()
	p.Wait()
	delete(s.replicas, name)
}

// holder is who has the lease; empty if nobody has.
func (s *scene) holder(ctx context.Context) string {
	kv, err := s.b.js.KeyValue(ctx, s.b.bucket())
	if err != nil {
		return ""
	}
	var c claim
	if entry, err := kv.Get(ctx, leaseKey); err == nil {
		json.Unmarshal(entry.Value(), &c)
	}
	return c.Holder
}

// takeover does something to the holder, and returns how long it took until
// another one had a connection.
func (s *scene) takeover(ctx context.Context, do func(name string) error) (from, to string, took time.Duration, err error) {
	if from = s.holder(ctx); from == "" {
		return "", "", 0, errors.New("nobody has the lease")
	}
	began := time.Now()
	if err := do(from); err != nil {
		return from, "", 0, err
	}
	err = until(ctx, func() bool {
		to = s.holder(ctx)
		return to != "" && to != from
	})
	for err == nil {
		select {
		case at := <-s.n.connected:
			if took = at.Sub(began); took > 0 {
				return from, to, took, nil
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return from, to, 0, fmt.Errorf("no takeover from %s: %w", from, err)
}

// stored is how many events the stream has.
func (s *scene) stored(ctx context.Context) (n int, err error) {
	stream, err := s.b.js.Stream(ctx, s.b.events())
	if err != nil {
		return 0, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(s.b.prefix+".event.*"))
	if err != nil {
		return 0, err
	}
	for _, count := range info.State.Subjects {
		n += int(count)
	}
	return n, nil
}

// unsent is how many messages wait in the queue.
func (s *scene) unsent(ctx context.Context) (int, error) {
	queue, err := s.b.js.Stream(ctx, s.b.queue())
	if err != nil {
		return 0, err
	}
	return int(queue.CachedInfo().State.Msgs), nil
}

// until asks again and again.
func until(ctx context.Context, done func() bool) error {
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}
