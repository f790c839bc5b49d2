package model

import (
	"slices"
	"strings"
	"time"
)

// modelBox is the outbox of the model: letters that wait, and those that were
// written over the open connection and are not confirmed.
type modelBox struct {
	// The client's Config.
	capacity int
	drops    bool          // DropOldest
	maxAge   time.Duration // 0: no limit
	confirms bool
	within   time.Duration // ConfirmTimeout
	stores   bool

	refuses            bool
	queue, unconfirmed []*letter
	flushes            []*modelFlush
	sent, resent, lost int
	reported, ending   [2]int // as not sent, and as unconfirmed: so far, and when the end began
}

// letter is a message of Enqueue.
type letter struct {
	text    string
	at      time.Duration
	written time.Duration // over the open connection
	sent    bool          // over any
}

// modelFlush is a Flush that waits.
type modelFlush struct {
	name string
	left []*letter
}

// plain marks messages that nobody confirms.
const plain = "plain "

func (b *modelBox) all() []*letter { return slices.Concat(b.unconfirmed, b.queue) }

// next tells what happens by itself, and when.
func (b *modelBox) next(m *model, earlier func(time.Duration, func())) {
	if b.maxAge > 0 && len(b.queue) > 0 && !b.refuses {
		earlier(b.queue[0].at+b.maxAge, func() { b.expire(m) })
	}
	if m.phase == isOpen && len(b.unconfirmed) > 0 {
		earlier(b.unconfirmed[0].written+b.within, func() {
			m.broke("error wsnotify: the server did not confirm a message within Outbox.ConfirmTimeout")
		})
	}
}

func (b *modelBox) expire(m *model) {
	for b.maxAge > 0 && len(b.queue) > 0 && b.queue[0].at+b.maxAge <= m.now {
		b.report(m, b.queue[0], "expired")
	}
}

// report is the end of a letter that is not delivered, or may not be.
func (b *modelBox) report(m *model, l *letter, reason string) {
	if l.sent {
		reason = "unconfirmed"
		b.reported[1]++
	} else {
		b.reported[0]++
	}
	m.note("undelivered %q: %s", l.text, reason)
	b.lost++
	b.leave(m, l)
}

// leave is the end of a letter.
func (b *modelBox) leave(m *model, l *letter) {
	is := func(other *letter) bool { return other == l }
	b.queue = slices.DeleteFunc(b.queue, is)
	b.unconfirmed = slices.DeleteFunc(b.unconfirmed, is)
	b.flushes = slices.DeleteFunc(b.flushes, func(f *modelFlush) bool {
		f.left = slices.DeleteFunc(f.left, is)
		if len(f.left) == 0 {
			m.results = append(m.results, f.name+": nil")
		}
		return len(f.left) == 0
	})
}

// begin is a new Connect or Run.
func (b *modelBox) begin(m *model) {
	b.refuses = false
	b.expire(m)
}

// open sends what waits.
func (b *modelBox) open(m *model) {
	for len(b.queue) > 0 {
		b.send(m, b.queue[0])
	}
}

func (b *modelBox) send(m *model, l *letter) {
	b.sent++
	if l.sent {
		b.resent++
	}
	m.write(l.text)
	if !b.confirms || strings.HasPrefix(l.text, plain) {
		b.leave(m, l)
		return
	}
	b.queue = slices.Delete(b.queue, 0, 1)
	l.sent, l.written = true, m.now
	b.unconfirmed = append(b.unconfirmed, l)
}

// parted is the end of a connection.
func (b *modelBox) parted(m *model) {
	b.queue, b.unconfirmed = b.all(), nil
	b.expire(m)
}

// finish is the end of a Connect or Run. Nothing in a store is given up, so a
// Flush goes on with the next one if there is one.
func (b *modelBox) finish(m *model) {
	b.refuses = true
	if b.stores && m.superseded {
		return
	}
	for _, f := range b.flushes {
		m.results = append(m.results, f.name+": ErrClosed")
	}
	b.flushes = nil
	for !b.stores && len(b.queue) > 0 {
		b.report(m, b.queue[0], "closed")
	}
}

func (b *modelBox) enqueue(m *model, text string) (err string) {
	switch {
	case b.refuses:
		return "ErrClosed"
	case len(b.all()) < b.capacity:
	case b.drops:
		b.report(m, b.all()[0], "full")
	default:
		return "ErrOutboxFull"
	}
	b.queue = append(b.queue, &letter{text: text, at: m.now})
	if m.phase == isOpen {
		b.open(m)
	}
	return ""
}

func (b *modelBox) confirm(m *model, id string) (known int) {
	for _, l := range b.all() {
		if b.confirms && l.text == id {
			b.leave(m, l)
			return 1
		}
	}
	return 0
}

func (b *modelBox) flush(m *model, name string) {
	switch left := b.all(); {
	case len(left) == 0:
		m.results = append(m.results, name+": nil")
	case b.refuses:
		m.results = append(m.results, name+": ErrClosed")
	default:
		b.flushes = append(b.flushes, &modelFlush{name, left})
	}
}

// restart is the end of a process and the beginning of another, which has
// nothing but the store.
func (m *model) restart() {
	m.close(1000, "")
	b := &m.box
	b.refuses, b.sent, b.resent, b.lost = false, 0, 0, 0
	for _, l := range b.queue {
		l.at, l.sent = m.now, false
	}
	m.begun = false
	m.opened, m.attempts, m.received, m.gaveUp, m.err, m.closeErr = 0, 0, 0, false, "", ""
}
