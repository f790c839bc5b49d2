package outbox

import (
	"bytes"
	"container/list"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// modelOps is the variable of the environment that says how many random
// operations TestOutboxDoesWhatTheModelDoes does.
const modelOps = "WSNOTIFY_OUTBOX_OPS"

// letter is a message of the model.
type letter struct {
	data        []byte
	id          string
	key         uint64
	session     int
	at          time.Time
	send        *send
	begun, sent bool // the peer may have some of it, all of it
	inBatch     bool
	done        bool
	cancelled   bool // a Send, in the batch
	givenUp     bool
}

// model is an outbox without a ring: a list of letters in their order, those
// that are done among them until nothing before them is left.
type model struct {
	t    *testing.T
	rnd  *rand.Rand
	step int
	cfg  Config
	o    *Outbox
	w    *Writer

	letters []*letter
	batch   []*letter // that are not yet written
	unread  []*letter // behind w's next: not dequeued since the connection began
	flushes map[*list.Element]int
	number  int // of the next letter
	base    int // letters before letters[0]

	sessions []*Session // not yet finished; the last is the latest
	first    int        // number of sessions[0]
	wSession int
	parted   bool

	events  []func()    // of the outbox
	expects [][]*letter // for each, the letters that it reports
	reasons map[*letter]error
	reports []string

	lost, written, again             int
	wantLost, wantWritten, wantAgain int

	store *modelStore
}

// modelStore is a Store in memory.
type modelStore struct {
	mu   sync.Mutex
	has  map[uint64]bool
	fail bool // Append
	ill  bool // Remove
}

func (s *modelStore) Load(func(uint64, wire.Op, []byte) error) error { return nil }

func (s *modelStore) Append(seq uint64, _ wire.Op, _ []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail {
		return errors.New("disk full")
	}
	s.has[seq] = true
	return nil
}

func (s *modelStore) Remove(seqs ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ill {
		return errors.New("disk full")
	}
	for _, seq := range seqs {
		delete(s.has, seq)
	}
	return nil
}

// Whatever happens, in whatever order, the outbox does what a plain list of
// messages would do.
func TestOutboxDoesWhatTheModelDoes(t *testing.T) {
	ops := 60_000
	if s := os.Getenv(modelOps); s != "" {
		ops, _ = strconv.Atoi(s)
	}
	const each = 3000
	for seed := range uint64(max(1, ops/each)) {
		synctest.Test(t, func(t *testing.T) {
			m := newModel(t, seed)
			for m.step = range each {
				m.random()
				m.check()
				if t.Failed() {
					t.Fatalf("seed %d, step %d, %+v", seed, m.step, m.cfg)
				}
			}
			m.end()
			if t.Failed() {
				t.Fatalf("seed %d, at the end, %+v", seed, m.cfg)
			}
		})
		if t.Failed() {
			return
		}
	}
}

func newModel(t *testing.T, seed uint64) *model {
	r := rand.New(rand.NewPCG(seed, 27))
	m := &model{t: t, rnd: r, flushes: map[*list.Element]int{}, reasons: map[*letter]error{}}
	m.cfg = testConfig()
	m.cfg.Messages = []int{3, 20, 300}[r.IntN(3)]
	m.cfg.Bytes = []int{1000, 20_000, 200_000}[r.IntN(3)]
	m.cfg.DropOldest, m.cfg.Resend = r.IntN(2) == 0, r.IntN(2) == 0
	if r.IntN(3) == 0 {
		m.cfg.MaxAge = time.Second
	}
	if r.IntN(3) > 0 {
		ids := []int{1 << 30, 10}[r.IntN(2)]
		m.cfg.ConfirmID = func(_ wire.Op, data []byte) string {
			n := 0
			if fmt.Sscan(string(data), &n); n%7 == 0 {
				return ""
			}
			return fmt.Sprint("id", n%ids)
		}
	}
	if r.IntN(3) == 0 {
		m.store = &modelStore{has: map[uint64]bool{}}
		m.cfg.Store = m.store
	}
	m.cfg.KeepData = true
	m.cfg.Notify = func(f func()) { m.events = append(m.events, f) }
	m.cfg.Lost = func(n int, _ error) { m.lost += n }
	m.cfg.Written = func(messages, _, again int) { m.written += messages; m.again += again }
	m.cfg.Undelivered = func(_ wire.Op, data []byte, size int, reason error) {
		if size != len(data) {
			m.t.Errorf("%d bytes of %d are reported", len(data), size)
		}
		m.reports = append(m.reports, fmt.Sprintf("%s: %v", data, reason))
	}
	m.o = New(m.cfg)
	m.sessions = []*Session{m.o.Latest()}
	if m.store != nil {
		<-m.o.Load().Over()
	}
	return m
}

func (m *model) latest() int       { return m.first + len(m.sessions) - 1 }
func (m *model) session() *Session { return m.sessions[len(m.sessions)-1] }

// queued are the letters of Enqueue that count.
func (m *model) queued() (ls []*letter, size int) {
	for _, l := range m.letters {
		if !l.done && !l.givenUp && l.send == nil {
			ls = append(ls, l)
			size += len(l.data)
		}
	}
	return ls, size
}

func (m *model) random() {
	for len(m.events) > 500 {
		m.dispatch()
	}
	switch n := m.rnd.IntN(100); {
	case n < 30:
		m.enqueue()
	case n < 45:
		m.dequeue()
	case n < 62:
		m.write()
	case n < 78:
		m.ack()
	case n < 82:
		m.send()
	case n < 84:
		m.cancel()
	case n < 87:
		m.flush()
	case n < 88:
		m.giveUpFlush()
	case n < 93:
		m.dispatch()
	case n < 95:
		if m.w != nil {
			m.lose()
		}
	case n < 97:
		if m.w == nil {
			m.attach()
		}
	case n < 98:
		if m.cfg.MaxAge > 0 {
			m.synchronize()
			time.Sleep(time.Duration(m.rnd.IntN(1500)) * time.Millisecond)
			m.settle()
			m.expire()
		} else if m.store != nil {
			m.store.mu.Lock()
			m.store.ill = m.rnd.IntN(2) == 0
			m.store.mu.Unlock()
		}
	case m.rnd.IntN(4) > 0:
	case len(m.sessions) < 3 && m.rnd.IntN(2) == 0:
		m.sessions = append(m.sessions, m.o.Begin())
		m.settle()
		m.expire()
	default:
		m.finish()
	}
	m.settle()
}

// settle lets timers and the goroutine of the Store go first.
func (m *model) settle() {
	if m.store != nil || m.cfg.MaxAge > 0 {
		synctest.Wait()
		m.synchronize()
	}
}

// synchronize orders what the model and a timer do for the race detector.
func (m *model) synchronize() {
	m.o.mu.Lock()
	m.o.mu.Unlock() //lint:ignore SA2001 that is all
}

func (m *model) text() []byte {
	size := m.rnd.IntN(60)
	switch m.rnd.IntN(40) {
	case 0:
		size = 1500
	case 1:
		size = ownMemory + m.rnd.IntN(2)
	}
	text := fmt.Append(nil, m.number, " ")
	if size > len(text) {
		text = append(text, bytes.Repeat([]byte{'x'}, size-len(text))...)
	}
	return text
}

func (m *model) enqueue() {
	data := m.text()
	fails := false
	if m.store != nil {
		fails = m.rnd.IntN(10) == 0
		m.store.fail = fails
	}
	key := m.o.store.seq + 1
	err := m.o.Enqueue(wire.Text, data)
	want := error(nil)
	ls, size := m.queued()
	fits := func() bool { return len(ls) < m.cfg.Messages && size+len(data) <= m.cfg.Bytes }
	var dropped []*letter
	switch {
	case m.session().closed:
		want = testErrors.ErrClosed
	case len(data) > m.cfg.Bytes:
		if err == nil {
			m.t.Error("a message that is too large was accepted")
		}
		return
	case !m.cfg.DropOldest && !fits():
		want = testErrors.ErrOutboxFull
	case fails:
		if err == nil {
			m.t.Error("a message was accepted that the Store has not")
		}
		return
	default:
		for _, l := range ls {
			if fits() {
				break
			}
			if !l.inBatch {
				dropped = append(dropped, l)
				ls = slices.DeleteFunc(slices.Clone(ls), func(other *letter) bool { return other == l })
				size -= len(l.data)
			}
		}
	}
	if err != want {
		m.t.Errorf("Enqueue: %v, expected %v", err, want)
	}
	if want != nil {
		return
	}
	for _, l := range dropped {
		m.discard(l, testErrors.ErrOutboxFull)
	}
	l := &letter{data: data, session: m.latest(), at: time.Now()}
	if m.store != nil {
		l.key = key
	}
	if m.cfg.ConfirmID != nil {
		l.id = m.cfg.ConfirmID(wire.Text, data)
	}
	m.number++
	m.letters = append(m.letters, l)
	m.unread = append(m.unread, l)
}

// discard is a report that is due.
func (m *model) discard(l *letter, reason error) {
	m.reasons[l] = m.reason(l, reason)
	m.expects = append(m.expects, []*letter{l})
	m.wantLost++
	l.done = true
}

func (m *model) reason(l *letter, reason error) error {
	switch {
	case l.sent:
		return testErrors.ErrNotAcknowledged
	case l.begun:
		return testErrors.ErrInterrupted
	}
	return reason
}

func (m *model) expire() {
	if m.cfg.MaxAge == 0 || m.session().finished {
		return
	}
	for _, l := range m.unread {
		if !l.done && !l.givenUp && l.send == nil && time.Since(l.at) >= m.cfg.MaxAge {
			m.discard(l, testErrors.ErrExpired)
		}
	}
}

func (m *model) attach() {
	m.w, m.parted = attachedTo(m.sessions[0]), false
	m.wSession = m.first
}

func (m *model) dequeue() {
	if m.w == nil || m.batch != nil {
		return
	}
	most, limit := 1+m.rnd.IntN(90), 1+m.rnd.IntN(5000)
	m.w.batch.Lock()
	n, _ := m.o.dequeue(m.w, most, limit)
	m.w.opening, m.w.base = nil, 0
	m.w.batch.Unlock()
	m.expire()
	size := 0
	for len(m.unread) > 0 && len(m.batch) < most && size < limit && !m.parted {
		l := m.unread[0]
		if l.done || l.givenUp {
			m.unread = m.unread[1:]
			continue
		}
		if l.session > m.wSession {
			break
		}
		m.unread = m.unread[1:]
		l.inBatch = true
		size += len(l.data) + frameBytes
		m.batch = append(m.batch, l)
	}
	if n != len(m.batch) {
		m.t.Errorf("%d were dequeued, expected %d", n, len(m.batch))
	}
	if n == 0 {
		m.w.batch.Reset()
	}
}

// write is a part of the batch that the socket takes.
func (m *model) write() {
	if m.batch == nil {
		return
	}
	n := 1 + m.rnd.IntN(len(m.batch))
	if m.rnd.IntN(2) == 0 {
		n = len(m.batch)
	}
	m.checkBatch()
	m.w.batch.Lock()
	m.w.settle(n)
	if n == len(m.batch) {
		m.w.batch.Reset()
		m.w.ended = 0
	}
	m.w.batch.Unlock()
	for _, l := range m.batch[:n] {
		l.inBatch = false
		if l.cancelled {
			continue
		}
		m.wantWritten++
		if l.begun {
			m.wantAgain++
		}
		l.begun, l.sent = true, true
		if l.send != nil {
			m.answered(l, nil)
		}
		if l.id == "" {
			l.done = true
		}
	}
	if m.batch = m.batch[n:]; len(m.batch) == 0 {
		m.batch = nil
	}
}

// checkBatch looks at what the writer reads.
func (m *model) checkBatch() {
	var got []string
	for b := m.o.ring.first; b != nil; b = b.next {
		for i := range indexes(b.taken) {
			if s := b.at(i); s.op != 0 {
				got = append(got, string(s.data))
			} else {
				got = append(got, "cancelled")
			}
		}
	}
	for i, l := range m.batch {
		want := string(l.data)
		if l.cancelled {
			want = "cancelled"
		}
		if i >= len(got) || got[i] != want {
			m.t.Errorf("the batch holds %q, and %.20q as %d was dequeued", got, want, i)
			return
		}
		if _, _, leaves := m.w.batch.Frame(m.w.batch.Len() - len(m.batch) + i); leaves == l.cancelled {
			m.t.Errorf("frame %d of %d leaves: %v", i, len(m.batch), leaves)
		}
	}
	if len(got) != len(m.batch) {
		m.t.Errorf("the batch holds %d, expected %d", len(got), len(m.batch))
	}
}

func (m *model) answered(l *letter, want error) {
	select {
	case err := <-l.send.result:
		if err != want {
			m.t.Errorf("Send %.10s: %v, expected %v", l.data, err, want)
		}
	default:
		m.t.Errorf("Send %.10s still waits, expected %v", l.data, want)
	}
	l.done = true
}

func (m *model) ack() {
	if m.cfg.ConfirmID == nil {
		return
	}
	id := fmt.Sprint("id", m.rnd.IntN(20))
	some := slices.DeleteFunc(slices.Clone(m.letters), func(l *letter) bool { return l.done || l.id == "" })
	if len(some) > 0 && m.rnd.IntN(10) > 0 {
		if m.rnd.IntN(2) == 0 {
			some = some[:1]
		}
		id = some[m.rnd.IntN(len(some))].id
	}
	want := 0
	for _, l := range m.letters {
		if !l.done && l.id == id {
			if !l.givenUp || l.begun {
				want = 1
				l.done = true
			}
			break
		}
	}
	if got := m.o.Ack([]string{id}); got != want {
		m.t.Errorf("the ack %s was for %d messages, expected %d", id, got, want)
	}
}

func (m *model) send() {
	data := m.text()
	sd, _, err := m.o.beginSend(nil, wire.Text, data)
	var want error
	switch {
	case m.session().closed:
		want = testErrors.ErrClosed
	case m.w == nil || m.parted || m.wSession != m.latest():
		want = testErrors.ErrNotConnected
	}
	if err != want {
		m.t.Errorf("Send: %v, expected %v", err, want)
	}
	if err != nil {
		return
	}
	l := &letter{data: data, session: m.latest(), send: sd}
	m.number++
	m.letters = append(m.letters, l)
	m.unread = append(m.unread, l)
}

func (m *model) cancel() {
	for _, l := range m.letters {
		if l.send == nil || l.done || m.rnd.IntN(2) == 0 {
			continue
		}
		if err := m.o.cancel(m.w, l.send, os.ErrDeadlineExceeded); err != os.ErrDeadlineExceeded {
			m.t.Errorf("a Send that was cancelled: %v", err)
		}
		l.done, l.cancelled = true, l.inBatch
		return
	}
}

func (m *model) flush() {
	ls, _ := m.queued()
	f, err := m.o.beginFlush()
	switch {
	case len(ls) == 0:
		if f != nil || err != nil {
			m.t.Errorf("Flush of nothing: %v", err)
		}
	case m.session().finished:
		if err != testErrors.ErrClosed {
			m.t.Errorf("Flush at the end: %v", err)
		}
	case f == nil:
		m.t.Errorf("Flush of %d: %v", len(ls), err)
	default:
		mark := 0
		for i, l := range m.letters {
			if l.send == nil {
				mark = m.base + i + 1
			}
		}
		m.flushes[f] = mark
	}
}

func (m *model) giveUpFlush() {
	for f := range m.flushes {
		if err := m.o.giveUpFlush(f, os.ErrDeadlineExceeded); err != os.ErrDeadlineExceeded {
			m.t.Errorf("a Flush that was given up: %v", err)
		}
		delete(m.flushes, f)
		return
	}
}

// over checks which flushes have ended, all of them if they failed.
func (m *model) over(failed int) {
	head := m.base + len(m.letters)
	for i, l := range m.letters {
		if !l.done && !l.givenUp {
			head = m.base + i
			break
		}
	}
	for place, mark := range m.flushes {
		f := place.Value.(*flush)
		ended := isOver(f)
		switch {
		case ended && f.err != nil: // only finish expects that
			if mark > failed {
				m.t.Errorf("a Flush of what is before %d failed: %v", mark, f.err)
			}
			delete(m.flushes, place)
		case ended != (mark <= head):
			m.t.Errorf("Flush until %d, head is %d: it has ended is %v", mark, head, ended)
		case ended:
			delete(m.flushes, place)
		}
	}
}

func isOver(f *flush) bool {
	select {
	case <-f.over:
		return true
	default:
		return false
	}
}

// lose is the end of a connection.
func (m *model) lose() {
	torn := m.rnd.IntN(2) == 0
	if m.rnd.IntN(2) == 0 {
		m.o.part()
	}
	m.w.batch.Lock()
	m.w.fail(torn)
	m.w.batch.Reset()
	m.w.ended = 0
	m.w.batch.Unlock()
	if torn && len(m.batch) > 0 {
		switch l := m.batch[0]; {
		case l.done:
		case l.send != nil:
			m.answered(l, testErrors.ErrInterrupted)
		case l.id != "" || m.cfg.Resend:
			l.begun = true
		default:
			l.begun = true
			m.discard(l, testErrors.ErrInterrupted)
		}
	}
	reason := testErrors.ErrNotConnected
	if m.sessionOf(m.wSession).closed {
		if reason = testErrors.ErrClosed; m.wSession != m.latest() {
			reason = testErrors.ErrSuperseded
		}
	}
	m.unread = nil
	for _, l := range m.letters {
		if !l.done && l.send != nil {
			m.answered(l, reason)
		}
		l.inBatch = false
		m.unread = append(m.unread, l)
	}
	m.w, m.batch = nil, nil
	m.settle()
	m.expire()
}

func (m *model) sessionOf(n int) *Session { return m.sessions[n-m.first] }

// finish is the end of the first Session.
func (m *model) finish() {
	if m.w != nil && m.wSession == m.first {
		m.lose()
	}
	s := m.sessions[0]
	if s.finished {
		return
	}
	if m.rnd.IntN(2) == 0 {
		s.Close()
	}
	m.over(0)
	closed := testErrors.ErrClosed
	if len(m.sessions) > 1 {
		closed = testErrors.ErrSuperseded
	}
	late := s.Finish()
	failed := 0
	var left []*letter
	if m.store == nil {
		for i, l := range m.letters {
			if l.session > m.first {
				break
			}
			failed = m.base + i + 1
			if !l.done && !l.givenUp {
				left = append(left, l)
			}
		}
		if failed == 0 || len(left) == 0 {
			failed = 0
		}
	} else if len(m.sessions) == 1 {
		failed = m.base + len(m.letters)
	}
	for place, mark := range m.flushes {
		f := place.Value.(*flush)
		if mark <= failed && (!isOver(f) || f.err != closed) {
			m.t.Errorf("Flush until %d of what was given up: %v", mark, f.err)
		}
	}
	if len(left) > 0 {
		for _, l := range left {
			l.givenUp = true
			if l.begun {
				late--
			} else {
				m.wantLost++
			}
		}
		m.expects = append(m.expects, left)
	}
	if late != 0 {
		m.t.Errorf("%d more than expected are reported late", late)
	}
	m.over(failed)
	if len(m.sessions) == 1 {
		m.sessions = append(m.sessions, m.o.Begin())
	}
	m.sessions = m.sessions[1:]
	m.first++
	m.settle()
	m.expire()
}

// dispatch runs the next event.
func (m *model) dispatch() {
	if len(m.events) == 0 {
		return
	}
	event, letters := m.events[0], m.expects[0]
	m.events, m.expects = m.events[1:], m.expects[1:]
	m.reports = nil
	event()
	var want []string
	for _, l := range letters {
		if !l.givenUp {
			want = append(want, fmt.Sprintf("%s: %v", l.data, m.reasons[l]))
			delete(m.reasons, l)
			continue
		}
		if l.done {
			continue // acknowledged since
		}
		if l.begun {
			m.wantLost++
		}
		want = append(want, fmt.Sprintf("%s: %v", l.data, m.reason(l, testErrors.ErrClosed)))
		l.done = true
	}
	if !slices.Equal(m.reports, want) {
		m.t.Errorf("reported are %.60q, expected %.60q", m.reports, want)
	}
}

func (m *model) check() {
	if m.t.Failed() {
		return
	}
	m.o.mu.Lock() // of timers
	defer m.o.mu.Unlock()
	m.over(0)
	ls, size := m.queued()
	unacked := 0
	for _, l := range ls {
		if l.begun && l.id != "" {
			unacked++
		}
	}
	o := m.o
	if o.count != len(ls) || o.bytes != size || o.unacked != unacked {
		m.t.Errorf("%d messages of %d bytes, %d unacked; expected %d, %d, %d", o.count, o.bytes, o.unacked, len(ls), size, unacked)
	}
	if m.lost != m.wantLost || m.written != m.wantWritten || m.again != m.wantAgain {
		m.t.Errorf("%d lost, %d written, %d again; expected %d, %d, %d", m.lost, m.written, m.again, m.wantLost, m.wantWritten, m.wantAgain)
	}
	if len(m.events) != len(m.expects) {
		m.t.Errorf("%d events, expected %d", len(m.events), len(m.expects))
	}
	m.checkRing()
	for len(m.letters) > 0 && m.letters[0].done && !m.letters[0].inBatch {
		m.letters = m.letters[1:]
		m.base++
	}
}

// checkRing looks at what must be true of the ring at any time.
func (m *model) checkRing() {
	var left []*letter
	for _, l := range m.letters {
		if !l.done {
			left = append(left, l)
		}
	}
	r := &m.o.ring
	live, blocks, sending := 0, 0, 0
	var last *block
	for b := r.first; b != nil; b = b.next {
		blocks++
		if b.prev != last || last != nil && b.base < last.base+uint64(last.used) && last.used > 0 {
			m.t.Errorf("block %d is not behind the one before it", blocks)
		}
		last = b
		if b.live|b.taken == 0 && (b != r.last || b == r.first) {
			m.t.Errorf("block %d is kept, and nothing is in it", blocks)
		}
		for i := range indexes(b.live) {
			s := b.at(i)
			if live >= len(left) || !bytes.Equal(s.data, left[live].data) || s.id != left[live].id || s.send != left[live].send {
				m.t.Errorf("slot %d holds %.20q", live, s.data)
				return
			}
			live++
			if s.send != nil {
				sending++
			}
			if o := m.o; s.id != "" && b.position(i) < r.indexed {
				p := o.acks.part(s.id)
				if at := (ref{b, i}); p.oldest[s.id] != at && !slices.Contains(p.others[s.id], at) {
					m.t.Errorf("%s is not in the index", s.id)
				}
			}
		}
	}
	if live != len(left) || live != r.live || blocks != r.blocks || sending != m.o.sending || last != r.last {
		m.t.Errorf("%d live of %d (%d), %d blocks (%d), %d Sends (%d)", live, len(left), r.live, blocks, r.blocks, sending, m.o.sending)
	}
}

// end lets everything be over, and looks at what is left.
func (m *model) end() {
	if m.t.Failed() {
		return
	}
	if m.w != nil {
		m.lose()
	}
	for len(m.sessions) > 1 {
		m.finish()
	}
	m.sessions[0].Finish()
	if m.store == nil {
		ls := slices.DeleteFunc(slices.Clone(m.letters), func(l *letter) bool { return l.done || l.givenUp })
		for _, l := range ls {
			l.givenUp = true
		}
		if len(ls) > 0 {
			m.expects = append(m.expects, ls)
		}
	}
	for len(m.events) > 0 {
		m.dispatch()
	}
	synctest.Wait()
	if m.store == nil {
		if m.o.ring.live != 0 || m.o.ring.first != nil || m.o.unreported.count != 0 || m.o.unreported.bytes != 0 || m.o.totals != (totals{}) {
			m.t.Errorf("left are %d slots, unreported %+v, totals %+v", m.o.ring.live, m.o.unreported, m.o.totals)
		}
		return
	}
	m.store.mu.Lock()
	m.store.ill = false
	m.store.mu.Unlock()
	m.o.Removed()
	synctest.Wait()
	want := map[uint64]bool{}
	for _, l := range m.letters {
		if !l.done {
			want[l.key] = true
		}
	}
	if len(want) != len(m.store.has) {
		m.t.Errorf("the Store has %d messages, expected %d", len(m.store.has), len(want))
	}
	for key := range want {
		if !m.store.has[key] {
			m.t.Errorf("the Store does not have message %d", key)
		}
	}
}
