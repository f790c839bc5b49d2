package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// demo lets three replicas lose their holder in three ways, and prints what became
// of the messages.
func demo(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // whatever happens
	defer cancel()
	if o.nats == "" {
		url, shutdown, err := embedded()
		if err != nil {
			return err
		}
		defer shutdown()
		o.nats = url
	}
	if o.lease == 0 {
		o.lease = 2 * time.Second
	}
	o.prefix += "-demo-" + nuid.Next()
	s, err := newScene(o, io.Discard)
	if err != nil {
		return err
	}
	defer s.end()
	defer s.b.tearDown(context.WithoutCancel(ctx))

	began := time.Now()
	say := func(format string, args ...any) {
		fmt.Fprintf(out, "%6.2f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	for i := range 3 {
		if err := s.start(fmt.Sprintf("replica-%d", i+1)); err != nil {
			return err
		}
	}
	select {
	case <-s.n.connected:
	case <-ctx.Done():
		return fmt.Errorf("no replica has connected: %w", ctx.Err())
	}
	say("%s has the socket; the lease is %v", s.holder(ctx), o.lease)

	talk := s.talk(ctx)
	if err := s.disturb(ctx, say); err != nil {
		return err
	}
	sent := talk()
	if err := s.awaitIdle(ctx, sent); err != nil {
		return err
	}
	stored, err := s.stored(ctx)
	if err != nil {
		return err
	}
	arrived, again := s.n.sent()
	say("events: %d sent by the server, %d stored, %d handled, %d handled twice, %d out of order",
		len(s.n.events), stored, s.tally.handled(), s.tally.twice, s.tally.disorder)
	say("messages: %d left in the queue, %d arrived at the server, %d of them came again", sent, len(arrived), again)

	through, err := s.through(ctx, 5000)
	if err != nil {
		return err
	}
	bare, err := s.bare(ctx, 5000)
	if err != nil {
		return err
	}
	say("at full speed: %.0f events a second through socket, stream and workers", through)
	say("               %.0f a second with a bare publish and consume", bare)
	return nil
}

// disturb kills the holder, stops one for twice its lease, and ends one.
func (s *scene) disturb(ctx context.Context, say func(string, ...any)) error {
	time.Sleep(s.o.lease)
	from, to, took, err := s.takeover(ctx, func(name string) error { s.kill(name); return nil })
	if err != nil {
		return err
	}
	say("%s was killed with -9; %s had the socket after %.2f s", from, to, took.Seconds())
	if err := s.start(from); err != nil {
		return err
	}

	time.Sleep(s.o.lease / 2)
	from, to, took, err = s.takeover(ctx, func(name string) error { return stop(s.replicas[name].Process) })
	if err == nil {
		say("%s was stopped; %s had the socket after %.2f s", from, to, took.Seconds())
		time.Sleep(2*s.o.lease - took)
		err = cont(s.replicas[from].Process)
		say("%s goes on, after twice the lease", from)
	}
	if err != nil {
		return err
	}

	time.Sleep(s.o.lease)
	from, to, took, err = s.takeover(ctx, func(name string) error { return s.replicas[name].Process.Signal(syscall.SIGTERM) })
	if err != nil {
		return err
	}
	say("%s ended; %s had the socket after %.2f s", from, to, took.Seconds())
	time.Sleep(s.o.lease / 2)
	return nil
}

// talk makes events and messages until the function that it returns is called, which
// says how many messages were sent.
func (s *scene) talk(ctx context.Context) (halt func() (sent int)) {
	ctx, cancel := context.WithCancel(ctx)
	var talking sync.WaitGroup
	users := []string{"ada", "bob", "cem", "dua", "eva", "fei", "gil", "hal", "ida", "joe"}
	talking.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ctx.Err() == nil; <-tick.C {
			s.n.emit(1, users...)
		}
	})
	sent := 0
	talking.Go(func() {
		for ctx.Err() == nil {
			text := fmt.Sprint("message ", sent+1)
			if s.b.send(context.WithoutCancel(ctx), text, text) == nil {
				sent++
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	return func() int {
		cancel()
		talking.Wait()
		return sent
	}
}

// awaitIdle waits until nothing is left to be done.
func (s *scene) awaitIdle(ctx context.Context, sent int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := until(ctx, func() bool {
		unsent, err := s.unsent(ctx)
		arrived, _ := s.n.sent()
		return err == nil && unsent == 0 && len(arrived) >= sent && s.tally.handled() >= len(s.n.events)
	})
	if err != nil {
		arrived, _ := s.n.sent()
		return fmt.Errorf("%d of %d events were handled, and %d of %d messages arrived: %w",
			s.tally.handled(), len(s.n.events), len(arrived), sent, err)
	}
	return nil
}

// through returns how many events a second go from the server to the workers.
func (s *scene) through(ctx context.Context, count int) (float64, error) {
	want := s.tally.handled() + count
	began := time.Now()
	s.n.emit(count, "ada", "bob", "cem", "dua", "eva", "fei", "gil", "hal", "ida", "joe")
	err := until(ctx, func() bool { return s.tally.handled() >= want })
	return float64(count) / time.Since(began).Seconds(), err
}

// bare is the same without a socket, a fence or an order: a stream, a consumer.
func (s *scene) bare(ctx context.Context, count int) (float64, error) {
	name := s.b.prefix + "-bare"
	stream, err := s.b.js.CreateStream(ctx, jetstream.StreamConfig{Name: name, Subjects: []string{name}, Replicas: s.o.copies})
	if err != nil {
		return 0, err
	}
	defer s.b.js.DeleteStream(context.WithoutCancel(ctx), name)
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "bare", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: -1})
	if err != nil {
		return 0, err
	}
	all := make(chan struct{})
	seen := 0
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		m.Ack()
		if seen++; seen == count {
			close(all)
		}
	})
	if err != nil {
		return 0, err
	}
	defer consuming.Stop()
	began := time.Now()
	for i := range count {
		if _, err := s.b.js.PublishAsync(name, fmt.Appendf(nil, `{"id":%d,"user":"ada","text":"event %d"}`, i, i), jetstream.WithStallWait(10*time.Second)); err != nil {
			return 0, err
		}
	}
	select {
	case <-all:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return float64(count) / time.Since(began).Seconds(), nil
}
