package inbox

import (
	"fmt"
	"slices"
	"testing"
)

// While a callback blocks, the first series of events and the latest wait, and
// between them what is no such event; everything is dispatched in its order.
func TestSeriesAreDroppedAsAWhole(t *testing.T) {
	var dispatched []string
	q := &Queue{Limit: Limit{-1, -1}, Dispatch: func(m *Item) { dispatched = append(dispatched, string(m.Data)) }}
	free := make(chan struct{})
	began := make(chan struct{})
	q.Notify(func() { close(began); <-free })
	<-began
	event := func(text string) func() { return func() { dispatched = append(dispatched, text) } }
	for i := range 10_000 {
		q.BeginAttempt()
		for _, part := range []string{"a", "b", "c"} {
			q.NotifyOfAttempt(event(fmt.Sprint(part, i)))
		}
		switch i {
		case 500:
			q.Notify(event("an event"))
		case 501:
			b := NewBatch()
			b.Add(Item{Data: []byte("a message")})
			q.Enqueue(b)
		}
	}
	waiting := 0
	for b := q.first; b != nil; b = b.next {
		waiting += b.n
	}
	if waiting > maxInSeries+20 {
		t.Errorf("%d events wait", waiting)
	}
	over := make(chan struct{})
	q.Notify(func() { close(over) })
	close(free)
	<-over
	var want []string
	for i := range 10_000 {
		if i >= maxInSeries/3 && i != 500 && i != 501 && i < 9_999 {
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
	if !slices.Equal(dispatched, want) {
		t.Errorf("dispatched were %d, of which\n%q\nand not\n%q", len(dispatched), dispatched[250:], want[250:])
	}
}
