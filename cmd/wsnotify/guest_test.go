package main

import (
	"strconv"
	"strings"
	"testing"
)

// What waits for a client is counted once, however many it waits for, and until the last of them has it or
// has gone.
func TestQueuesOfGuests(t *testing.T) {
	h := newHub(func(string, ...any) {})
	guest := func(name string) *guest { return newGuest(h, name, new(socket)) }
	frame := func(size int) *outgoingFrame { return &outgoingFrame{op: opText, data: make([]byte, size)} }
	wants := func(what string, pending int) {
		t.Helper()
		if h.pending != pending {
			t.Errorf("%s: %d bytes wait, want %d", what, h.pending, pending)
		}
	}

	a, b := guest("a"), guest("b")
	f := frame(10)
	if !a.queue(f) || !b.queue(f) {
		t.Fatal("there is no room")
	}
	wants("for two", 10)
	a.dequeued(<-a.out)
	wants("for one", 10)
	b.unqueue()
	wants("for none", 0)

	a.queueMissed(nil)
	a.unqueue()
	a.queueMissed([]*outgoingFrame{frame(1), frame(2)})
	a.queue(frame(4))
	wants("missed and new", 7)
	a.unqueue()
	wants("of one that has gone", 0)

	for i := range maxQueue + 1 {
		if a.queue(frame(0)) != (i < maxQueue) {
			t.Fatalf("message %d of %d", i+1, maxQueue)
		}
	}
	a.unqueue()

	full := frame(maxPending)
	if !a.queue(full) || b.queue(frame(1)) || !b.queue(full) || !b.queue(frame(0)) {
		t.Error("the bound is not that of all bytes that wait")
	}
	c := guest("c")
	c.queueMissed([]*outgoingFrame{frame(0), frame(1), frame(0)})
	select {
	case <-c.drop:
	default:
		t.Error("a client that can't have what it has missed is not dropped")
	}
	if len(c.missed) != 1 {
		t.Errorf("%d messages behind one that is missing", len(c.missed)-1)
	}
	c.unqueue()
	a.unqueue()
	b.unqueue()
	wants("at the end", 0)
}

// A page finds the latest of what has happened, and knows how much that was.
func TestLogOfAHub(t *testing.T) {
	h := newHub(func(string, ...any) {})
	for i := range maxLog + 5 {
		h.note("ada", "in", strconv.Itoa(i))
		if want := min(i+1, maxLog); len(h.log) != want || h.entries != i+1 {
			t.Fatalf("%d of %d entries, want %d of %d", len(h.log), h.entries, want, i+1)
		}
	}
	if first, last := h.log[0].Text, h.log[maxLog-1].Text; first != "5" || last != strconv.Itoa(maxLog+4) {
		t.Errorf("it goes from %s to %s", first, last)
	}
	h.note("ada", "in", strings.Repeat("x", maxText))
	h.note("ada", "in", strings.Repeat("x", maxText+1))
	if whole, cut := h.log[maxLog-2].Text, h.log[maxLog-1].Text; len(whole) != maxText || cut != whole+"…" {
		t.Errorf("%d and %d bytes", len(whole), len(cut))
	}
}

// So many clients may come as are allowed, and one that leaves makes room.
func TestClientsOfAHub(t *testing.T) {
	h := newHub(func(string, ...any) {})
	h.maxClients = 2
	for i, want := range []string{"", "", "2 clients are connected; serve --max-clients allows more"} {
		if got := h.enter(); got != want {
			t.Errorf("client %d: %q, want %q", i+1, got, want)
		}
	}
	h.leave()
	if got := h.enter(); got != "" {
		t.Error(got)
	}
	h.leave()
	h.leave()
	h.close()
	if got := h.enter(); got != "the server ends" {
		t.Errorf("after the end: %q", got)
	}
}
