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
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				m, _ := t.Admit("", strconv.Itoa(n), false)
				t.Done(m)
			}
		})
	}
}

// The reader and the goroutine of the callbacks at work at the same time.
func BenchmarkBothSides(b *testing.B) {
	t := New(Consecutive)
	marks := make(chan []*Mark, 16)
	done := make(chan bool)
	go func() {
		for list := range marks {
			for _, m := range list {
				t.Done(m)
			}
		}
		close(done)
	}()
	b.ReportAllocs()
	var list []*Mark
	n := 0
	for b.Loop() {
		n++
		m, _ := t.Admit("", strconv.Itoa(n), false)
		if list = append(list, m); len(list) == 32 {
			marks <- list
			list = make([]*Mark, 0, 32)
		}
	}
	marks <- list
	close(marks)
	<-done
}
