package outbox

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// What one message costs the outbox: enqueued, dequeued and written, in batches
// of 64.
func BenchmarkOutbox(b *testing.B) {
	for _, bm := range []struct {
		name          string
		size, waiting int
	}{{"64", 64, 0}, {"64-backlog", 64, 1000}, {"4096", 4096, 0}, {"4096-backlog", 4096, 900}, {"16384", 16384, 0}} {
		b.Run(bm.name, func(b *testing.B) {
			o := newTestOutbox(nil)
			data := make([]byte, bm.size)
			for range bm.waiting {
				o.Enqueue(wire.Binary, data)
			}
			w := attached(o)
			b.ReportAllocs()
			for b.Loop() {
				for range 64 {
					o.Enqueue(wire.Binary, data)
				}
				o.written(w, dequeued(w, 64, 1<<30))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/message")
		})
	}
}

// What the server's acks add: enqueued, written and acknowledged in order, in
// batches of 64 while a thousand others wait to be acknowledged.
func BenchmarkAcks(b *testing.B) {
	o := newTestOutbox(func(_ wire.Op, data []byte) string { return string(data[:8]) })
	w := attached(o)
	data := make([]byte, 64)
	id := func(n int) { binary.BigEndian.PutUint64(data, uint64(n)) }
	given, acked := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		for range 64 {
			id(given)
			given++
			o.Enqueue(wire.Binary, data)
		}
		o.written(w, dequeued(w, 64, 1<<20))
		for ; acked < given-1000; acked++ {
			id(acked)
			o.Ack([]string{string(data[:8])})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/message")
}

// What 16 Sends that leave together cost the outbox.
func BenchmarkSends(b *testing.B) {
	o := newTestOutbox(nil)
	w := attached(o)
	data := make([]byte, 64)
	sends := make([]*send, 16)
	b.ReportAllocs()
	for b.Loop() {
		for i := range sends {
			sends[i], _, _ = o.beginSend(nil, wire.Binary, data)
		}
		o.written(w, dequeued(w, 64, 1<<20))
		for _, sd := range sends {
			<-sd.result
			w.session.sends.Put(sd)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/message")
}

// What a message costs where a million are queued, written and acknowledged in
// reverse, and the longest of all calls.
func BenchmarkAMillionAcksInReverse(b *testing.B) {
	for b.Loop() {
		const messages = 1_000_000
		o := newTestOutbox(func(_ wire.Op, data []byte) string { return string(data[:8]) })
		w := attached(o)
		data := make([]byte, 64)
		var longest time.Duration
		began := time.Now()
		timed := func(f func()) {
			began := time.Now()
			f()
			longest = max(longest, time.Since(began))
		}
		for i := range messages {
			binary.BigEndian.PutUint64(data, uint64(i))
			timed(func() { o.Enqueue(wire.Binary, data) })
		}
		for n := 0; n < messages; {
			timed(func() {
				some := dequeued(w, batchItems, 1<<20)
				o.written(w, some)
				n += some
			})
		}
		timed(func() { o.detach(w, false) })
		w = attached(o)
		for n := 0; n < messages; {
			some := dequeued(w, batchItems, 1<<20)
			o.written(w, some)
			n += some
		}
		for i := range messages {
			binary.BigEndian.PutUint64(data, uint64(messages-1-i))
			id := string(data[:8])
			timed(func() { o.Ack([]string{id}) })
		}
		b.ReportMetric(float64(longest.Microseconds())/1000, "longest-ms")
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/messages, "ns/message")
	}
}
