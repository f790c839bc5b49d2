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
