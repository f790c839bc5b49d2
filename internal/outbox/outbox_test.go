package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// What is enqueued after a connection was given up is for the next one.
func TestPartedOutboxGivesNothingMore(t *testing.T) {
	o := newTestOutbox(nil)
	w := attached(o)
	o.part()
	if err := o.Enqueue(wire.Text, []byte("a")); err != nil {
		t.Fatal(err)
	}
	if n := dequeued(w, 8, 1000); n != 0 {
		t.Errorf("%d were dequeued", n)
	}
	if err := o.Send(context.Background(), wire.Text, nil); err != testErrors.ErrNotConnected {
		t.Errorf("send: %v", err)
	}
	o.detach(w, false)
	next := attached(o)
	if n := dequeued(w, 8, 1000); n != 0 {
		t.Errorf("the old writer dequeued %d", n)
	}
	if n := dequeued(next, 8, 1000); n != 1 {
		t.Errorf("%d were dequeued", n)
	}
}

// A burst leaves one small block and no more, whether the server acknowledges
// or not.
func TestNoMemoryIsKeptFromABurst(t *testing.T) {
	for name, id := range map[string]func(wire.Op, []byte) string{"plain": nil, "acks": itself} {
		t.Run(name, func(t *testing.T) {
			o := newTestOutbox(id)
			w := attached(o)
			const messages = 10_000
			for i := range messages {
				o.Enqueue(wire.Binary, fmt.Appendf(nil, "%0100d", i))
			}
			for n := 0; n < messages; {
				some := dequeued(w, 64, 1<<20)
				n += some
				o.written(w, some)
			}
			if id != nil {
				for _, i := range rand.Perm(messages) {
					if o.Ack([]string{fmt.Sprintf("%0100d", i)}) != 1 {
						t.Fatal("an ack was not known")
					}
				}
			}
			r := &o.ring
			if r.first != nil || r.blocks != 0 || o.count != 0 || o.bytes != 0 || o.overhead != 0 || o.acks != nil {
				t.Errorf("%d blocks are left, %+v; an index: %v", r.blocks, o.totals, o.acks != nil)
			}
		})
	}
}

// A ring that is never empty makes no more blocks than it needs.
func TestBlocksAreUsedAgain(t *testing.T) {
	for name, id := range map[string]func(wire.Op, []byte) string{"plain": nil, "acks": itself} {
		t.Run(name, func(t *testing.T) {
			o := newTestOutbox(id)
			w := attached(o)
			next, acked, most := 0, 0, 0
			var messages [12_000]string // made before anything is counted
			for i := range messages {
				messages[i] = fmt.Sprint(i)
			}
			var data [8]byte
			round := func() {
				for range 100 {
					o.Enqueue(wire.Binary, data[:copy(data[:], messages[next])])
					next++
				}
				o.written(w, dequeued(w, 100, 1<<20))
				for ; id != nil && acked < next-150; acked++ {
					o.Ack(messages[acked : acked+1])
				}
				most = max(most, o.ring.blocks)
			}
			o.Enqueue(wire.Binary, nil)
			for range 10 {
				round()
			}
			if n := testing.AllocsPerRun(100, round); n > 300 { // of ids
				t.Errorf("%v allocations for 100 messages", n)
			}
			if most > 12 {
				t.Errorf("%d blocks for 250 messages", most)
			}
			if o.ring.packs > 0 {
				t.Errorf("%d blocks were packed, and all left in order", o.ring.packs)
			}
		})
	}
}

// A head that nobody acknowledges keeps no memory but its own: of what is behind
// it, and of what is spread over the ring.
func TestUnackedMessagesKeepNoMemoryOfOthers(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	const messages = 100_000
	for _, one := range []int{messages, 1000, 100} {
		t.Run(fmt.Sprint("one of ", one), func(t *testing.T) {

			o := newTestOutbox(func(_ wire.Op, data []byte) string { return string(data[:8]) })
			w := attached(o)
			before := heap()
			text := func(i int) []byte { return fmt.Appendf(nil, "%08d %60d", i, i) }
			for i := range messages {
				o.Enqueue(wire.Text, text(i))
				if i%2000 == 1999 {
					o.written(w, dequeued(w, 2000, 1<<30))
				}
			}
			for i := range messages {
				if i = messages - 1 - i; i%one > 0 {
					o.Ack([]string{string(text(i)[:8])})
				}
			}
			left := messages / one
			if o.count != left {
				t.Fatalf("%d are left, expected %d", o.count, left)
			}
			if n := heap() - before; n > 200<<10+int64(left)*600 {
				t.Errorf("%d KiB for %d messages", n>>10, left)
			}
			runtime.KeepAlive(o)
		})
	}
}

// What an ack, an expiry or a lost connection costs does not depend on how many
// messages there are, but for the blocks that are looked at.
func TestNothingIsDoneForAMillionMessagesAtOnce(t *testing.T) {
	o := newTestOutbox(func(_ wire.Op, data []byte) string { return string(data) })
	w := attached(o)
	const messages = 200_000
	for i := range messages {
		o.Enqueue(wire.Text, fmt.Append(nil, i))
	}
	if n := o.ring.tail - o.ring.indexed; n > maxUnindexed {
		t.Errorf("the next ack would put %d messages into the index", n)
	}
	for n := 0; n < messages; {
		some := dequeued(w, 2000, 1<<30)
		o.written(w, some)
		n += some
	}
	last := o.ring.last
	for i := range messages { // in reverse
		if o.Ack([]string{fmt.Sprint(messages - 1 - i)}) != 1 {
			t.Fatal(i)
		}
		if i == 0 && last.prev == nil {
			t.Error("the ring is one block")
		}
	}
}

func TestIdleOutboxHasNothingToWriteOrConfirm(t *testing.T) {
	o := newTestOutbox(itself)
	w, s := attached(o), o.Latest()
	want := func(idle bool) {
		t.Helper()
		if s.Unsent() == nil != idle {
			t.Errorf("idle: %v", !idle)
		}
	}
	want(true)
	o.Enqueue(wire.Text, []byte("a"))
	want(false)
	o.written(w, dequeued(w, 8, 1000))
	want(false)
	changed := s.Unsent()
	o.Ack([]string{"a"})
	want(true)
	<-changed
	go o.Send(t.Context(), wire.Text, nil)
	for s.Unsent() == nil {
		runtime.Gosched()
	}
	o.written(w, dequeued(w, 8, 1000))
	want(true)
}

// The limits are those of messages and bytes, and of memory: an empty message
// costs some, and so does the id of one.
func TestOutboxIsALimitOfMemory(t *testing.T) {
	limited := func(messages, bytes int, id func(wire.Op, []byte) string) *Outbox {
		cfg := testConfig()
		cfg.Messages, cfg.Bytes, cfg.ConfirmID = messages, bytes, id
		return New(cfg)
	}
	o := limited(3, 100, nil)
	enqueue := func(size int, want error) {
		t.Helper()
		if err := o.Enqueue(wire.Binary, make([]byte, size)); err != want {
			t.Errorf("Enqueue of %d bytes: %v, expected %v", size, err, want)
		}
	}
	enqueue(10, nil)
	enqueue(80, nil)
	enqueue(11, testErrors.ErrOutboxFull)
	enqueue(10, nil)
	enqueue(0, testErrors.ErrOutboxFull)
	if queued, _ := o.Counts(); queued != 3 || o.bytes != 100 || o.Latest().Unsent() == nil {
		t.Errorf("%d messages of %d bytes", queued, o.bytes)
	}
	w := attached(o)
	o.written(w, dequeued(w, 2, 1000))
	enqueue(91, testErrors.ErrOutboxFull)
	enqueue(90, nil)
	o.Latest().Close()
	enqueue(0, testErrors.ErrClosed)

	for _, idSize := range []int{0, 10_000} {
		var id func(wire.Op, []byte) string
		if idSize > 0 {
			id = func(wire.Op, []byte) string { return strings.Repeat("x", idSize) }
		}
		o := limited(-1, 1<<20, id)
		n := 0
		for o.Enqueue(wire.Text, nil) == nil {
			n++
		}
		if want := (1<<20 + freeOverhead) / (slotBytes + idSize); n != want {
			t.Errorf("ids of %d bytes: %d messages were accepted, expected %d", idSize, n, want)
		}
	}
}

// Flushes that were given up leave nothing behind, in constant time each.
func TestFlushesThatAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		const n = 2000
		for range n {
			o.Enqueue(wire.Text, nil)
			all.Go(func() {
				if err := o.Flush(ctx); err != context.Canceled {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		rest := make(chan error, 1)
		go func() { rest <- o.Flush(t.Context()) }()
		synctest.Wait()
		cancel()
		all.Wait()
		if n := o.flushes.Len(); n != 1 {
			t.Errorf("%d are left", n)
		}
		w := attached(o)
		o.written(w, dequeued(w, n, 1<<20))
		if err := <-rest; err != nil || o.flushes.Len() > 0 {
			t.Error(err)
		}
	})
}

// Whatever goes on at the same time, each producer's messages leave once and in
// their order, and there are never more than the limit.
func TestProducersWhileOthersAreAtTheOutbox(t *testing.T) {
	for name, id := range map[string]func(wire.Op, []byte) string{"plain": nil, "acks": itself} {
		t.Run(name, func(t *testing.T) {
			const producers, each, most = 4, 2000, 50
			cfg := testConfig()
			cfg.Messages, cfg.ConfirmID = most, id
			o := New(cfg)
			written := make(chan string, most)
			left := make([]int, producers) // the next message of each that is to be written
			write := func(s *slot) {
				var producer, n int
				if fmt.Sscan(string(s.data), &producer, &n); n == left[producer] {
					left[producer]++
				} else if n > left[producer] || id == nil {
					t.Errorf("message %s came when %d was next", s.data, left[producer])
				}
				if id != nil {
					select {
					case written <- string(s.data):
					default: // it is sent again
					}
				}
			}
			var all, others sync.WaitGroup
			over := make(chan struct{})
			for producer := range producers {
				all.Go(func() {
					for n := 0; n < each; {
						switch o.Enqueue(wire.Text, fmt.Append(nil, producer, n)) {
						case nil:
							n++
						case testErrors.ErrOutboxFull:
							runtime.Gosched()
						}
						if n%500 == 0 {
							ctx, cancel := context.WithTimeout(context.Background(), time.Microsecond)
							o.Flush(ctx)
							cancel()
						}
					}
				})
			}
			others.Go(func() { // the writers of one connection after another
				var w *Writer
				for n := 0; ; n++ {
					if n%100 == 0 {
						if w != nil {
							o.detach(w, false)
						}
						w = attached(o)
					}
					some := dequeued(w, 1+n%20, 1000)
					o.mu.Lock()
					if b := o.ring.batch; b != nil {
						for ; b != nil; b = b.next {
							for i := range b.used {
								if b.taken>>i&1 != 0 {
									write(b.at(i))
								}
							}
						}
					}
					o.mu.Unlock()
					o.written(w, some)
					if queued, _ := o.Counts(); queued > most {
						t.Errorf("%d messages in an outbox of %d", queued, most)
					}
					select {
					case <-over:
						return
					default:
						runtime.Gosched()
					}
				}
			})
			others.Go(func() {
				for {
					select {
					case m := <-written:
						if n := o.Ack([]string{m, "unknown"}); n > 1 {
							t.Errorf("%d messages were acknowledged at once by %s", n, m)
						}
					case <-over:
						return
					}
				}
			})
			all.Wait()
			if err := o.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			close(over)
			others.Wait()
			if got := strings.Trim(fmt.Sprint(left), "[]"); got != strings.TrimSpace(strings.Repeat(fmt.Sprint(each)+" ", producers)) {
				t.Errorf("of each producer were written %s, expected %d", got, each)
			}
		})
	}
}

// A Send that was torn is over: nothing of it is for the next connection.
func TestTornSendIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		w := attached(o)
		result := make(chan error, 1)
		go func() { result <- o.Send(t.Context(), wire.Text, []byte("a")) }()
		synctest.Wait()
		if n := dequeued(w, 8, 1000); n != 1 {
			t.Fatal(n)
		}
		o.detach(w, true)
		if err := <-result; err != testErrors.ErrInterrupted {
			t.Errorf("send: %v", err)
		}
		if n := dequeued(attached(o), 8, 1000); n != 0 {
			t.Errorf("%d were dequeued again", n)
		}
	})
}

// After a write has failed, a Send fails at once, whether or not the owner has
// seen it.
func TestSendAfterAFailedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newTestOutbox(nil)
		o.detach(attached(o), false)
		result := make(chan error, 1)
		go func() { result <- o.Send(context.Background(), wire.Text, []byte("a")) }()
		synctest.Wait()
		select {
		case err := <-result:
			if err != testErrors.ErrNotConnected {
				t.Errorf("send: %v", err)
			}
		default:
			t.Fatal("Send waits")
		}
	})
}

// A Handshake's message has the outcome of its write: the one that is torn may have been sent, those behind it not.
func TestHandshakeWriteThatFails(t *testing.T) {
	w := attached(newTestOutbox(nil))
	for torn, wants := range map[bool][]error{
		false: {testErrors.ErrNotConnected, testErrors.ErrNotConnected},
		true:  {testErrors.ErrInterrupted, testErrors.ErrNotConnected},
	} {
		var results []chan error
		for n := range wants {
			result := make(chan error, 1)
			results = append(results, result)
			go func() { result <- w.SendFirst(t.Context(), wire.Text, []byte("a")) }()
			for queued := 0; queued <= n; runtime.Gosched() {
				w.mu.Lock()
				queued = len(w.front.first)
				w.mu.Unlock()
			}
		}
		w.batch.Lock()
		w.addControls()
		w.fail(torn)
		w.batch.Reset()
		w.batch.Unlock()
		for i, want := range wants {
			if err := <-results[i]; err != want {
				t.Errorf("torn %v: message %d: %v, want %v", torn, i, err, want)
			}
		}
	}
}

// The write of a Handshake's message fails at the moment at which its ctx ends.
func TestHandshakeWriteFailsAsItsCtxEnds(t *testing.T) {
	w := attached(newTestOutbox(nil))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- w.SendFirst(ctx, wire.Text, []byte("a")) }()
	for queued := 0; queued == 0; runtime.Gosched() {
		w.mu.Lock()
		queued = len(w.front.first)
		w.mu.Unlock()
	}
	w.batch.Lock()
	w.addControls()
	cancel()
	for range 1000 { // it waits for the batch's lock soon
		runtime.Gosched()
	}
	w.fail(false)
	w.batch.Reset()
	w.batch.Unlock()
	if err := <-result; err != testErrors.ErrNotConnected {
		t.Errorf("send: %v", err)
	}
}

// What is given up of one Session while the next has begun leaves the counts, each message by what became of it;
// those that may have been sent are counted as lost when they are reported.
func TestSessionIsGivenUpWhileTheNextHasBegun(t *testing.T) {
	cfg := testConfig()
	cfg.Resend, cfg.KeepData = true, true
	var lost, reported []string
	var events []func()
	cfg.Notify = func(f func()) { events = append(events, f) }
	cfg.Lost = func(n int, err error) { lost = append(lost, fmt.Sprint(n, " ", err)) }
	cfg.Undelivered = func(_ wire.Op, data []byte, size int, err error) {
		reported = append(reported, fmt.Sprintf("%s %d %v", data, size, err))
	}
	cfg.ConfirmID = func(_ wire.Op, data []byte) string {
		if strings.HasPrefix(string(data), "id") {
			return string(data)
		}
		return ""
	}
	o := New(cfg)
	first := o.Latest()
	for _, s := range []string{"id-acked", "id-unacked", "torn", "id-waits", "waits"} {
		o.Enqueue(wire.Text, []byte(s))
	}
	w := attached(o)
	dequeued(w, 3, 1000)
	o.written(w, 2)
	o.Ack([]string{"id-acked"})
	o.detach(w, true)
	if want := (totals{count: 4, bytes: 27, overhead: 4*slotBytes + 18, ids: 2, unacked: 1, torn: 1}); o.totals != want {
		t.Errorf("left are %+v, expected %+v", o.totals, want)
	}
	o.Begin()
	o.Enqueue(wire.Text, []byte("id-of-next"))
	o.Enqueue(wire.Text, []byte("next"))
	if late := first.Finish(); late != 2 || o.unreported.count != 4 || o.unreported.bytes != 27 {
		t.Errorf("%d are reported late, %+v are to be reported", late, o.unreported)
	}
	if want := (totals{count: 2, bytes: 14, overhead: 2*slotBytes + 10, ids: 1}); o.totals != want {
		t.Errorf("of the next Session are %+v, expected %+v", o.totals, want)
	}
	for len(events) > 0 {
		events[0]()
		events = events[1:]
	}
	if want := []string{"id-unacked 10 not acknowledged", "torn 4 interrupted", "id-waits 8 closed", "waits 5 closed"}; !slices.Equal(reported, want) {
		t.Errorf("reported are %q, expected %q", reported, want)
	}
	if want := []string{"2 closed", "1 not acknowledged", "1 interrupted"}; !slices.Equal(lost, want) {
		t.Errorf("lost are %q, expected %q", lost, want)
	}
	if o.unreported.count != 0 || o.unreported.bytes != 0 || o.totals.count != 2 || len(o.givenUp) != 0 {
		t.Errorf("%+v are left to be reported, and of the next Session %+v", o.unreported, o.totals)
	}
}

// A writer that comes before the timer of what is too old sends none of it, however much that is.
func TestTooOldIsNotDequeued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		cfg.MaxAge = time.Minute
		lost := 0
		cfg.Lost = func(n int, err error) {
			if lost += n; err != testErrors.ErrExpired {
				t.Error(err)
			}
		}
		o := New(cfg)
		const old = 2*expireAtOnce + 1
		for range old {
			o.Enqueue(wire.Text, []byte("old"))
		}
		flushed := make(chan error, 1)
		go func() { flushed <- o.Flush(t.Context()) }()
		synctest.Wait()
		o.expiry.stop()
		time.Sleep(time.Minute)
		o.Enqueue(wire.Text, []byte("new"))
		w := attached(o)
		if n := dequeued(w, 1000, 1<<20); n != 1 || lost != old {
			t.Errorf("%d were dequeued, and %d had expired", n, lost)
		}
		if err := <-flushed; err != nil {
			t.Errorf("Flush: %v", err)
		}
		o.detach(w, false)
	})
}

// The data is the caller's again, whatever its size and with a Store, too.
func TestEnqueuedDataIsTheCallers(t *testing.T) {
	for _, size := range []int{1, ownMemory, ownMemory + 1} {
		for _, cfg := range []Config{testConfig(), storing(newTestStore())} {
			o := New(cfg)
			data := []byte(strings.Repeat("x", size))
			if err := o.Enqueue(wire.Text, data); err != nil {
				t.Fatal(err)
			}
			clear(data)
			if got := waiting(o); len(got) != 1 || got[0] != strings.Repeat("x", size) {
				t.Errorf("%d bytes became %.10q", size, got)
			}
		}
	}
}

// A large message is refused as any other.
func TestLargeMessagesAreRefused(t *testing.T) {
	cfg := testConfig()
	cfg.Bytes = 10_000
	o := New(cfg)
	large := make([]byte, 6000)
	if err := o.Enqueue(wire.Binary, large); err != nil {
		t.Error(err)
	}
	if err := o.Enqueue(wire.Binary, large); err != testErrors.ErrOutboxFull {
		t.Errorf("in an outbox that is full: %v", err)
	}
	o.Latest().Close()
	if err := o.Enqueue(wire.Binary, large); err != testErrors.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if o.count != 1 || o.bytes != 6000 || o.reserved.count != 0 {
		t.Errorf("%+v, reserved %+v", o.totals, o.reserved)
	}
}

// A Send that waits at the end of its Session gets its error, and one that comes later, too.
func TestSendAtTheEnd(t *testing.T) {
	for _, next := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := newTestOutbox(nil)
			s := o.Latest()
			w := attached(o)
			sent := make(chan error, 1)
			go func() { sent <- o.Send(t.Context(), wire.Text, []byte("a")) }()
			synctest.Wait()
			s.Close()
			want, late := testErrors.ErrClosed, testErrors.ErrClosed
			if next {
				o.Begin()
				want, late = testErrors.ErrSuperseded, testErrors.ErrNotConnected
			}
			if err := o.Send(t.Context(), wire.Text, []byte("b")); err != late {
				t.Errorf("after Close: %v, expected %v", err, late)
			}
			o.detach(w, false)
			if err := <-sent; err != want {
				t.Errorf("%v, expected %v", err, want)
			}
			s.Finish()
			<-s.Reported() // nothing
		})
	}
}

// A Flush may wait for an ack while a message is queued that has an id.
func TestAwaitsAcks(t *testing.T) {
	if newTestOutbox(nil).AwaitsAcks() {
		t.Error("without ConfirmID")
	}
	o := newTestOutbox(func(_ wire.Op, data []byte) string { return strings.TrimPrefix(string(data), "plain") })
	for _, step := range []struct {
		do   func()
		want bool
	}{
		{func() {}, false},
		{func() { o.Enqueue(wire.Text, []byte("plain")) }, false},
		{func() { o.Enqueue(wire.Text, []byte("a")) }, true},
		{func() { o.Ack([]string{"a"}) }, false},
	} {
		if step.do(); o.AwaitsAcks() != step.want {
			t.Errorf("%+v: it awaits acks: %v", o.totals, !step.want)
		}
	}
}

// A Send whose message is written as its ctx ends has sent it.
func TestSendIsWrittenAsItsCtxEnds(t *testing.T) {
	o := newTestOutbox(nil)
	w := attached(o)
	sd, _, err := o.beginSend(nil, wire.Text, []byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	o.written(w, dequeued(w, 8, 1000))
	if err := o.cancel(w, sd, context.Canceled); err != nil || o.sending != 0 {
		t.Errorf("%v, %d wait", err, o.sending)
	}
}

// A callback that ends its goroutine does not keep the others from being
// reported.
func TestReportsGoOnBehindGoexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := testConfig()
		var reported []string
		cfg.KeepData = true
		cfg.Undelivered = func(_ wire.Op, data []byte, _ int, _ error) {
			if reported = append(reported, string(data)); len(reported) == 2 {
				runtime.Goexit()
			}
		}
		o := New(cfg)
		for _, s := range []string{"a", "b", "c"} {
			o.Enqueue(wire.Text, []byte(s))
		}
		s := o.Latest()
		s.Finish()
		<-s.Reported()
		if fmt.Sprint(reported) != "[a b c]" || o.unreported.count != 0 {
			t.Errorf("%q were reported, %d are left", reported, o.unreported.count)
		}
	})
}

var errDisk = errors.New("the disk is full")
