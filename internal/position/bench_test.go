package position

import (
	"strconv"
	"testing"
)

// What Resume adds to a message, but for finding its position.
func BenchmarkMessage(b *testing.B) {
	for _, order := range []Order{Opaque, Increasing, Consecutive} {
		b.Run([]string{"opaque", "increasing", "consecutive"}[order], func(b *testing.B) {
			t := New(order)
			r := t.Connection()
			b.ReportAllocs()
			var at [20]byte
			n := 0
			for b.Loop() {
				n++
				m, _ := r.AdmitBytes(strconv.AppendInt(at[:0], int64(n), 10), false)
				if n%32 == 0 {
					r.Publish()
				}
				t.Done(m, nil)
			}
		})
	}
}

// The reader and the goroutine of the callbacks at work at the same time.
func BenchmarkBothSides(b *testing.B) {
	t := New(Consecutive)
	r := t.Connection()
	marks := make(chan []Mark, 16)
	done := make(chan bool)
	go func() {
		for list := range marks {
			for _, m := range list {
				t.Done(m, nil)
			}
		}
		close(done)
	}()
	b.ReportAllocs()
	var list []Mark
	var at [20]byte
	n := 0
	for b.Loop() {
		n++
		m, _ := r.AdmitBytes(strconv.AppendInt(at[:0], int64(n), 10), false)
		if list = append(list, m); len(list) == 32 {
			r.Publish()
			marks <- list
			list = make([]Mark, 0, 32)
		}
	}
	marks <- list
	close(marks)
	<-done
}
