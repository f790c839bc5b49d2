package inbox

import (
	"fmt"
	"slices"
	"testing"
)

// While a callback blocks, the first series of events and the latest wait, and
// between them what is no such event; everything is told in its order.
func TestSeriesAreDroppedAsAWhole(t *testing.T) {
	var told []string
	q := &Queue{Limit: Limit{-1, -1}, Dispatch: func(m *Item) { told = append(told, string(m.Data)) }}
	free := make(chan struct{})
	began := make(chan struct{})
	q.Tell(func() { close(began); <-free })
	<-began
	tell := func(text string) func() { return func() { told = append(told, text) } }
	for i := range 10_000 {
		q.Begin()
		for _, part := range []string{"a", "b", "c"} {
			q.Pass(tell(fmt.Sprint(part, i)))
		}
		switch i {
		case 500:
			q.Tell(tell("an event"))
		case 501:
			b := NewBatch()
			b.Add(Item{Data: []byte("a message")})
			q.Put(b)
		}
	}
	waiting := 0
	for b := q.first; b != nil; b = b.next {
		waiting += b.n
	}
	if waiting > maxPassing+20 {
		t.Errorf("%d events wait", waiting)
	}
	over := make(chan struct{})
	q.Tell(func() { close(over) })
	close(free)
	<-over
	var want []string
	for i := range 10_000 {
		if i >= maxPassing/3 && i != 500 && i != 501 && i < 9_999 {
			continue
		}
		for _, part := range []string{"a", "b", "c"} {
			want = append(want, fmt.Sprint(part, i))
		}
		switch i {
		case 500:
			want = append(want, "an event")
		case 501:
			want = append(want, "a message")
		}
	}
	if !slices.Equal(told, want) {
		t.Errorf("told were %d, of which\n%q\nand not\n%q", len(told), told[250:], want[250:])
	}
}
