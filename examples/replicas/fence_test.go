package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"github.com/wsnotify/wsnotify"
)

// rules hold with one server and with a cluster, whose checks are others.
var rules = []struct {
	name string
	hold func(t *testing.T, server func(*testing.T) *broker)
}{
	{"FencedHolderStoresNothing", fencedHolderStoresNothing},
	{"LateBatchIsNotStored", lateBatchIsNotStored},
	{"LostAnswers", lostAnswers},
	{"FencesAreNotSetBack", fencesAreNotSetBack},
	{"WhatComesTwiceIsStoredOnce", whatComesTwiceIsStoredOnce},
	{"LeaseIsTakenWhenItIsNotRenewed", leaseIsTakenWhenItIsNotRenewed},
	{"QueueGoesOnInOrder", queueGoesOnInOrder},
	{"GapsInTheQueueAreFilled", gapsInTheQueueAreFilled},
}

func testRules(t *testing.T, url string, copies int) {
	server := func(t *testing.T) *broker {
		b, err := connect(url, "test-"+nuid.Next())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.nc.Close)
		if err := b.setUp(within(t, 10*time.Second), copies); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			rule.hold(t, server)
		})
	}
}

func TestRulesWithOneServer(t *testing.T) {
	t.Parallel()
	url, shutdown, err := embedded()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shutdown)
	testRules(t, url, 1)
}

func open(t *testing.T, b *broker, token uint64) *journal {
	t.Helper()
	j, err := openJournal(within(t, 10*time.Second), b, token, new(atomic.Int64))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// numbered returns the events from one number to another.
func numbered(from, to int64) (events []event) {
	for id := from; id <= to; id++ {
		events = append(events, event{ID: id, User: "ada"})
	}
	return events
}

// contents returns the ids in the stream, in order; 0 is a fence.
func contents(t *testing.T, b *broker) (ids []int64) {
	t.Helper()
	ctx := within(t, 10*time.Second)
	stream, err := b.js.Stream(ctx, b.events())
	if err != nil {
		t.Fatal(err)
	}
	for seq := range stream.CachedInfo().State.LastSeq {
		m, err := stream.GetMsg(ctx, seq+1)
		if err != nil {
			t.Fatal(err)
		}
		var ev event
		json.Unmarshal(m.Data, &ev)
		ids = append(ids, ev.ID)
	}
	return ids
}

func wantLog(t *testing.T, b *broker, want ...int64) {
	t.Helper()
	if got := contents(t, b); !slices.Equal(got, want) {
		t.Errorf("the stream holds %v, expected %v", got, want)
	}
}

func fencedHolderStoresNothing(t *testing.T, server func(*testing.T) *broker) {
	b := server(t)
	first := open(t, b, 1)
	ctx := within(t, 10*time.Second)
	if err := first.append(ctx, numbered(1, 2)); err != nil {
		t.Fatal(err)
	}
	second := open(t, b, 2)
	if got := second.since.Load(); got != 2 {
		t.Errorf("the position is %d, expected 2", got)
	}
	for _, batch := range [][]event{numbered(3, 3), numbered(3, 5), numbered(2, 4)} {
		if err := first.append(ctx, batch); err != errLost {
			t.Errorf("appending %v: %v, expected errLost", batch, err)
		}
	}
	wantLog(t, b, 0, 1, 2, 0)
	if err := second.append(ctx, numbered(3, 4)); err != nil {
		t.Fatal(err)
	}
	if err := first.append(ctx, numbered(5, 9)); err != errLost {
		t.Errorf("appending: %v, expected errLost", err)
	}
	wantLog(t, b, 0, 1, 2, 0, 3, 4)
}

// What was on its way when its sender was stopped arrives when its successor has
// brought the stream to any length.
func lateBatchIsNotStored(t *testing.T, server func(*testing.T) *broker) {
	for _, length := range []int64{0, 2, 4} {
		b := server(t)
		ctx := within(t, 10*time.Second)
		old := open(t, b, 1)
		late := *old // as it was
		next := open(t, b, 2)
		if length > 0 {
			if err := next.append(ctx, numbered(1, length)); err != nil {
				t.Fatal(err)
			}
		}
		if err := late.append(ctx, numbered(1, 6)); err != errLost {
			t.Errorf("with %d events: %v, expected errLost", length, err)
		}
		wantLog(t, b, append([]int64{0, 0}, ids(numbered(1, length))...)...)
	}
}

// It is not known what became of a batch, and it is sent again. Who can't tell
// gives the lease up; nothing is stored twice or left out by who goes on.
func lostAnswers(t *testing.T, server func(*testing.T) *broker) {
	b := server(t)
	ctx := within(t, 10*time.Second)
	j := open(t, b, 1)
	for i, batch := range [][]event{numbered(1, 3), numbered(4, 4)} {
		before := j.last
		if err := j.append(ctx, batch); err != nil {
			t.Fatal(err)
		}
		j.last = before
		if err := j.append(ctx, batch); err == errLost {
			j = open(t, b, uint64(2+i))
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := j.append(ctx, numbered(5, 6)); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(contents(t, b), func(id int64) bool { return id == 0 })
	if want := ids(numbered(1, 6)); !slices.Equal(got, want) {
		t.Errorf("the stream holds %v, expected %v", got, want)
	}
}

func ids(events []event) (ids []int64) {
	for _, ev := range events {
		ids = append(ids, ev.ID)
	}
	return ids
}

// A hold that was stopped before its fence comes too late with it.
func fencesAreNotSetBack(t *testing.T, server func(*testing.T) *broker) {
	b := server(t)
	second := open(t, b, 2)
	if _, err := openJournal(within(t, 10*time.Second), b, 1, new(atomic.Int64)); !errors.Is(err, errLost) {
		t.Errorf("the older hold: %v, expected errLost", err)
	}
	if err := second.append(within(t, 10*time.Second), numbered(1, 3)); err != nil {
		t.Errorf("the newer one: %v", err)
	}
	// Its own once more, as when the acknowledgement was lost.
	open(t, b, 2)
	wantLog(t, b, 0, 1, 2, 3)
}

func whatComesTwiceIsStoredOnce(t *testing.T, server func(*testing.T) *broker) {
	b := server(t)
	ctx := within(t, 10*time.Second)
	j := open(t, b, 1)
	for _, batch := range [][]event{
		numbered(1, 4), numbered(3, 6), numbered(6, 6), append(numbered(7, 9), numbered(8, 10)...),
	} {
		if err := j.append(ctx, batch); err != nil {
			t.Fatal(err)
		}
	}
	j = open(t, b, 2)
	if err := j.append(ctx, numbered(9, 12)); err != nil {
		t.Fatal(err)
	}
	wantLog(t, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 11, 12)
}

func acquireFor(t *testing.T, b *broker, name string, ttl time.Duration) *lease {
	t.Helper()
	ctx := within(t, 10*time.Second)
	kv, err := b.js.KeyValue(ctx, b.bucket())
	if err != nil {
		t.Fatal(err)
	}
	l, err := acquire(ctx, kv, name, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func leaseIsTakenWhenItIsNotRenewed(t *testing.T, server func(*testing.T) *broker) {
	const ttl = time.Second
	b := server(t)
	first := acquireFor(t, b, "first", ttl)
	first.since.Store(7)
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan error, 1)
	go func() { kept <- first.keep(ctx) }()
	// While it is kept nobody gets it.
	short, end := context.WithTimeout(t.Context(), 2*ttl)
	defer end()
	if _, err := acquire(short, first.kv, "second", ttl); err == nil {
		t.Fatal("the lease was taken from its holder")
	}
	cancel()
	if err := <-kept; err != context.Canceled {
		t.Fatal("it was not kept: ", err)
	}

	began := time.Now()
	second := acquireFor(t, b, "second", ttl)
	if took := time.Since(began); took < ttl/2 || took > ttl+2*time.Second {
		t.Errorf("it took %v, expected %v and little more", took, ttl)
	}
	if second.since.Load() != 7 || second.token <= first.token {
		t.Errorf("the position is %d and the token %d, after 7 and %d", second.since.Load(), second.token, first.token)
	}
	if err := first.release(t.Context()); err == nil {
		t.Error("who has lost the lease gave it up")
	}
	// One that was stopped and goes on.
	if err := first.keep(within(t, 5*time.Second)); !errors.Is(err, errLost) {
		t.Errorf("the first: %v, expected errLost", err)
	}
	first.until = time.Now().Add(time.Hour) // whatever its clock says
	if err := first.keep(within(t, 5*time.Second)); !errors.Is(err, errLost) {
		t.Errorf("the first: %v, expected errLost", err)
	}
	if err := second.release(t.Context()); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	acquireFor(t, b, "third", time.Minute)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a lease that was given up was taken after %v", took)
	}
}

// next is what the queue gives, however long a cluster under load takes.
func next(ctx context.Context, s *sender) (jetstream.Msg, error) {
	for {
		m, err := s.pull.Next(jetstream.NextContext(ctx))
		if !errors.Is(err, jetstream.ErrNoHeartbeat) {
			return m, err
		}
	}
}

// The next holder gets what the one before has not acknowledged, before anything
// newer.
func queueGoesOnInOrder(t *testing.T, server func(*testing.T) *broker) {
	b := server(t)
	ctx := within(t, 20*time.Second)
	for i := range 5 {
		if err := b.send(ctx, fmt.Sprint(i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		b.send(ctx, fmt.Sprint(i), fmt.Sprint(i)) // once more, as after a time-out
	}
	log := slog.New(slog.DiscardHandler)
	first, err := openSender(ctx, b, 1, log)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		m, err := next(ctx, first)
		if err != nil || string(m.Data()) != fmt.Sprint(i) {
			t.Fatal(m, err)
		}
		if i == 0 {
			m.DoubleAck(ctx)
		}
	}
	second, err := openSender(ctx, b, 2, log)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < 5; i++ {
		m, err := next(ctx, second)
		if err != nil || string(m.Data()) != fmt.Sprint(i) {
			t.Fatal(m, err)
		}
	}
	if _, err := openSender(ctx, b, 1, log); !errors.Is(err, errLost) {
		t.Errorf("an older hold opens the queue: %v, expected errLost", err)
	}
	first.client = wsnotify.New(wsnotify.Config{})
	first.last = 3
	if err := first.run(ctx); !errors.Is(err, errLost) {
		t.Errorf("the first goes on: %v, expected errLost", err)
	}
}

// What a server had given when it died comes before what is behind it.
func gapsInTheQueueAreFilled(t *testing.T, server func(*testing.T) *broker) {
	b := server(t)
	ctx := within(t, 20*time.Second)
	s, err := openSender(ctx, b, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	took := make(chan string, 16)
	s.client = wsnotify.New(wsnotify.Config{Outbox: wsnotify.Outbox{ConfirmID: func(m wsnotify.Message) string {
		var out outgoing
		json.Unmarshal(m.Data, &out)
		took <- out.Text
		return out.ID
	}}})
	send := func(i int) {
		if err := b.send(ctx, fmt.Sprint(i), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	send(0)
	send(1)
	for range 2 { // that is lost
		if _, err := next(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	go s.run(ctx)
	for i := 2; i < 5; i++ {
		send(i)
	}
	for i := range 5 {
		select {
		case got := <-took:
			if got != fmt.Sprint(i) {
				t.Fatalf("it took %s, expected %d", got, i)
			}
		case <-ctx.Done():
			t.Fatal("it did not take ", i)
		}
	}
	s.stop()
}
