package position

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"
)

// tracker is a Tracker with one Receiver.
type tracker struct {
	*Tracker
	r *Receiver
}

func newTracker(order Order) *tracker {
	tr := &tracker{Tracker: New(order)}
	tr.Connection()
	return tr
}

// Connection follows on one whose messages are all in the inbox.
func (tr *tracker) Connection() {
	if tr.r != nil {
		tr.r.Publish()
	}
	tr.r = tr.Tracker.Connection()
}

func (tr *tracker) Received(stream string) string {
	tr.r.Publish()
	return tr.Tracker.Received(stream)
}

// admit notes a message and says what became of it: "+", "duplicate", "no number", "gap a-b" or "behind a-b".
func admit(tr *tracker, stream, at string) (m Mark, what string) {
	m, v := tr.r.Admit(stream, at, false)
	switch {
	case v.Behind != nil:
		what = fmt.Sprintf("behind %s-%s", v.Behind.Asked, v.Behind.Got)
	case v.NoNumber != nil:
		what = "no number"
	case v.Duplicate:
		what = "duplicate"
	case m.Gap() != nil:
		what = fmt.Sprintf("gap %s-%s", m.Gap().After, m.Gap().Next)
	default:
		what = "+"
	}
	return m, what
}

func wantAt(t *testing.T, tr *tracker, stream, received, handled string) {
	t.Helper()
	if r, h := tr.Received(stream), tr.Handled(stream); r != received || h != handled {
		t.Errorf("stream %q is received up to %q and handled up to %q, not %q and %q", stream, r, h, received, handled)
	}
}

func TestOrders(t *testing.T) {
	for _, test := range []struct {
		order Order
		steps []string // position and result; "|" is another connection
	}{
		{Opaque, []string{"b", "+", "a", "+", "b", "duplicate", "|", "", "a", "duplicate", "c", "+"}},
		{Increasing, []string{"5", "+", "7", "+", "7", "duplicate", "6", "duplicate", "x", "no number", "8", "+",
			"|", "", "8", "duplicate", "9", "+", "|", "", "3", "behind 9-3", "4", "duplicate", "10", "+", "|", "", "11", "+", "10", "duplicate"}},
		{Consecutive, []string{"5", "+", "7", "gap 5-7", "6", "duplicate", "8", "+", "|", "", "2", "behind 8-2", "9", "+", "11", "gap 9-11"}},
	} {
		tr := newTracker(test.order)
		for i := 0; i < len(test.steps); i += 2 {
			at, want := test.steps[i], test.steps[i+1]
			if at == "|" {
				tr.Connection()
			} else if _, got := admit(tr, "", at); got != want {
				t.Errorf("order %d, step %d: %s is %s and not %s", test.order, i/2, at, got, want)
			}
		}
	}
}

// That a server begins before what was asked for is said once a connection, and for the first message of a
// stream alone.
func TestBehindOnceAConnection(t *testing.T) {
	tr := newTracker(Increasing)
	for _, step := range []struct{ stream, at, want string }{
		{"a", "5", "+"}, {"b", "5", "+"}, {"c", "5", "+"}, {"|", "", ""},
		{"a", "6", "+"}, {"a", "2", "duplicate"}, {"b", "5", "duplicate"}, {"b", "3", "duplicate"}, {"c", "4", "behind 5-4"}, {"|", "", ""},
		{"a", "1", "behind 6-1"}, {"b", "2", "duplicate"}, {"b", "7", "+"}, {"|", "", ""},
		{"b", "3", "behind 7-3"},
	} {
		if step.stream == "|" {
			tr.Connection()
		} else if _, got := admit(tr, step.stream, step.at); got != step.want {
			t.Errorf("%s of stream %s is %s and not %s", step.at, step.stream, got, step.want)
		}
	}
}

// A plain number that only follows needs no Tracker, and whatever else comes does.
func TestReceiverNotesByItself(t *testing.T) {
	for _, order := range []Order{Increasing, Consecutive} {
		for _, bytes := range []bool{true, false} {
			tr := newTracker(order)
			for _, step := range []struct {
				stream, at string
				alone      bool
			}{
				{"", "5", false}, {"", "6", true}, {"", "7", true}, {"", "9", order == Increasing}, {"", "9", false}, {"", "8", false}, {"", "10", true},
				{"", "010", false}, {"", "11", true}, {"", "12.0", false}, {"", "13", false}, {"", "14", true}, {"", "x", false}, {"", "15", true},
				{"a", "1", false}, {"a", "2", true}, {"", "16", false}, {"", "17", true},
			} {
				tr.r.Publish()
				if bytes && step.stream == "" {
					tr.r.AdmitBytes([]byte(step.at), false)
				} else {
					tr.r.Admit(step.stream, step.at, false)
				}
				if tr.r.unpublished != step.alone {
					t.Errorf("order %d: %s of stream %q needed no Tracker: %v", order, step.at, step.stream, !step.alone)
				}
			}
			wantAt(t, tr, "", "17", "")
			wantAt(t, tr, "a", "2", "")
		}
	}
}

// The last so many opaque positions are known, and no more.
func TestRecentPositionsAreARing(t *testing.T) {
	tr := newTracker(Opaque)
	for n := range 3 * remembered {
		if _, got := admit(tr, "", strconv.Itoa(n)); got != "+" {
			t.Fatalf("%d is %s", n, got)
		}
		if len(tr.in.recent.known) > remembered || len(tr.in.recent.ring) > remembered {
			t.Fatalf("%d positions are known, in %d places", len(tr.in.recent.known), len(tr.in.recent.ring))
		}
	}
	for _, n := range []int{2 * remembered, 3*remembered - 1} {
		if _, got := admit(tr, "", strconv.Itoa(n)); got != "duplicate" {
			t.Errorf("%d is %s", n, got)
		}
	}
	if _, got := admit(tr, "other", strconv.Itoa(2*remembered)); got != "+" { // which takes the place of the oldest
		t.Errorf("a position of another stream is %s", got)
	}
	if _, got := admit(tr, "", strconv.Itoa(2*remembered)); got != "+" {
		t.Errorf("the oldest is %s", got)
	}
	if r := tr.Received(""); r != strconv.Itoa(2*remembered) {
		t.Errorf("received is %s", r)
	}
}

// What was forgotten within the ring leaves a place, and no other position goes with it when that is used
// again.
func TestForgottenPlacesOfTheRing(t *testing.T) {
	var r recent
	at := func(n int) opaque { return opaque{"", strconv.Itoa(n)} }
	for n := range remembered {
		r.add(at(n))
	}
	r.forget(at(0))
	r.add(at(0)) // in the place of the oldest, which was its own
	for n := remembered; n < 2*remembered-1; n++ {
		if !r.add(at(n)) {
			t.Fatalf("%d is known", n)
		}
	}
	if r.add(at(0)) {
		t.Error("0 was forgotten with what stood in its place before")
	}
	if len(r.known) != remembered {
		t.Errorf("%d are known", len(r.known))
	}
}

// Whatever is forgotten of it, the ring knows what came last, each position once.
func TestRecentDoesWhatAListDoes(t *testing.T) {
	type seen struct {
		p               opaque
		returned, known bool
	}
	random := rand.New(rand.NewPCG(1, 47))
	var r recent
	var places []*seen
	known := map[opaque]*seen{}
	forget := func(which func(*seen) bool) {
		for p, s := range known {
			if which(s) {
				delete(known, p)
				s.known = false
			}
		}
	}
	at := func() opaque { return opaque{strconv.Itoa(random.IntN(3)), strconv.Itoa(random.IntN(3 * remembered))} }
	for range 50_000 {
		switch n := random.IntN(1000); {
		case n < 700:
			p := at()
			if added := r.add(p); added == (known[p] != nil) {
				t.Fatalf("%v was added: %v", p, added)
			}
			if known[p] == nil {
				s := &seen{p, false, true}
				places, known[p] = append(places, s), s
				if len(places) > remembered {
					if places[0].known {
						delete(known, places[0].p)
					}
					places = places[1:]
				}
			}
		case n < 900:
			p := at()
			if r.markReturned(p); known[p] != nil {
				known[p].returned = true
			}
		case n < 990:
			p := at()
			if r.forget(p); known[p] != nil {
				known[p].known = false
				delete(known, p)
			}
		case n == 999 && random.IntN(20) == 0:
			r.forgetUnreturned()
			forget(func(s *seen) bool { return !s.returned })
		case n == 998 && random.IntN(20) == 0:
			r.forgetStream("1")
			forget(func(s *seen) bool { return s.p.stream == "1" })
		}
		if len(r.known) != len(known) {
			t.Fatalf("%d are known, expected %d", len(r.known), len(known))
		}
	}
	if len(places) < remembered || len(known) == 0 {
		t.Error("the ring was never full")
	}
	for p := range known {
		if _, ok := r.known[p]; !ok {
			t.Errorf("%v is not known", p)
		}
	}
}

// A loop holds its message, and what callbacks have handled behind it does not count until it lets go.
func TestLoopsHoldWhatIsBehindThem(t *testing.T) {
	tr := newTracker(Consecutive)
	var marks []Mark
	for n := range 4 {
		m, _ := admit(tr, "", strconv.Itoa(n+1))
		marks = append(marks, m)
	}
	tr.Done(marks[0], nil)
	wantAt(t, tr, "", "4", "1")
	held := tr.Hold(marks[1])
	tr.More(held) // two loops
	tr.Done(marks[1], held)
	tr.Done(marks[2], nil)
	wantAt(t, tr, "", "4", "1")
	tr.Release(held)
	wantAt(t, tr, "", "4", "1")
	tr.Release(held)
	wantAt(t, tr, "", "4", "3")
	tr.Done(marks[3], nil)
	wantAt(t, tr, "", "4", "4")
}

// What came again is recovered with the loop that held a message before it, whatever is behind it.
func TestLoopsHoldWhatIsRecovered(t *testing.T) {
	tr := newTracker(Increasing)
	tr.Redeliver = true
	first, _ := admit(tr, "", "1")
	held := tr.Hold(first)
	tr.Done(first, held)
	failed, _ := admit(tr, "", "2")
	if !tr.Failed(failed) {
		t.Error("2 can't be redelivered")
	}
	tr.Rewind()
	tr.Connection()
	for _, at := range []string{"2", "3"} {
		m, _ := admit(tr, "", at)
		if tr.Done(m, nil) {
			t.Errorf("%s is handled behind a message that a loop has", at)
		}
	}
	if wantAt(t, tr, "", "3", ""); !tr.Recovering() {
		t.Error("2 is handled behind a message that a loop has")
	}
	if !tr.Release(held) || tr.Recovering() {
		t.Error("2 is not recovered")
	}
	wantAt(t, tr, "", "3", "3")
	again, _ := admit(tr, "", "4")
	released := tr.Hold(again)
	tr.Release(released)
	tr.Done(again, released) // by a loop that was done before
	wantAt(t, tr, "", "4", "4")
}

func TestRewindGoesBackToWhatReturned(t *testing.T) {
	for _, order := range []Order{Opaque, Increasing, Consecutive} {
		tr := newTracker(order)
		tr.Redeliver = true
		var marks []Mark
		for n := range 4 {
			m, _ := admit(tr, "", strconv.Itoa(n+1))
			marks = append(marks, m)
		}
		tr.Done(marks[0], nil)
		tr.Failed(marks[1])
		if !tr.Recovering() {
			t.Errorf("order %d: nothing is to be handled again", order)
		}
		tr.Rewind()
		tr.Connection()
		wantAt(t, tr, "", "1", "1")
		if _, got := admit(tr, "", "1"); got != "duplicate" {
			t.Errorf("order %d: 1 is %s", order, got)
		}
		m, got := admit(tr, "", "2")
		if got != "+" {
			t.Fatalf("order %d: 2 is %s", order, got)
		}
		if !tr.Done(m, nil) || tr.Recovering() {
			t.Errorf("order %d: 2 is not recovered", order)
		}
		wantAt(t, tr, "", "2", "2")
	}
}

// Set takes effect at once, and what is on its way moves nothing any more.
func TestSetReplacesAStream(t *testing.T) {
	tr := newTracker(Consecutive)
	tr.Saves = true
	m, _ := admit(tr, "", "5")
	late, _ := admit(tr, "", "6")
	tr.Failed(m)
	tr.Set("", "2")
	wantAt(t, tr, "", "2", "2")
	tr.Done(m, nil)
	wantAt(t, tr, "", "2", "2")
	if !tr.Failed(late) || tr.Recovering() {
		t.Error("a message is to be handled again that nobody asks for")
	}
	if got := tr.Unsaved(); !maps.Equal(got, map[string]string{"": "2"}) {
		t.Errorf("%v is to be saved", got)
	}
	if _, got := admit(tr, "", "3"); got != "+" {
		t.Errorf("3 is %s", got)
	}
	tr.Set("", "")
	if _, got := admit(tr, "", "1"); got != "+" {
		t.Errorf("from anywhere, 1 is %s", got)
	}

	// Set before a connection outlives Reset once, and takes the place of what was loaded.
	tr = newTracker(Increasing)
	tr.Set("a", "9")
	tr.Reset()
	tr.Loaded(map[string]string{"a": "1", "b": "2"})
	wantAt(t, tr, "a", "9", "9")
	wantAt(t, tr, "b", "2", "2")
	tr.Reset()
	wantAt(t, tr, "a", "", "")
}

// Reset leaves nothing of other positions than those of Set: what is on its way changes nothing any more.
func TestResetForgets(t *testing.T) {
	for _, order := range []Order{Opaque, Increasing} {
		tr := newTracker(order)
		tr.Saves, tr.Redeliver = true, true
		done, _ := admit(tr, "a", "1")
		tr.Done(done, nil)
		admit(tr, "b", "1")
		tr.Set("b", "7")
		late, _ := admit(tr, "a", "2")
		tr.Failed(late)
		tr.Reset()
		if tr.Recovering() {
			t.Error("a message is to be handled again that was forgotten")
		}
		if tr.Failed(late) {
			t.Error("a message that was forgotten can be redelivered")
		}
		tr.Done(late, nil)
		if got := tr.Unsaved(); !maps.Equal(got, map[string]string{"b": "7"}) {
			t.Errorf("%v is to be saved", got)
		}
		wantAt(t, tr, "a", "", "")
		wantAt(t, tr, "b", "7", "7")
		for _, at := range []string{"1", "2"} {
			m, got := admit(tr, "a", at)
			if got != "+" {
				t.Errorf("order %d: %s is %s", order, at, got)
			}
			tr.Done(m, nil)
		}
		wantAt(t, tr, "a", "2", "2")
		tr.Reset()
		wantAt(t, tr, "a", "", "")
		tr.Again(map[string]string{"a": "1", "b": "7"})
		if got := tr.Unsaved(); !maps.Equal(got, map[string]string{"b": "7"}) {
			t.Errorf("%v is to be saved again", got)
		}
	}
}

// An opaque position that is set is known as one that came, and none before it is.
func TestSetOpaquePosition(t *testing.T) {
	tr := newTracker(Opaque)
	want := func(stream, at, want string) {
		t.Helper()
		if _, got := admit(tr, stream, at); got != want {
			t.Errorf("%s of stream %q is %s and not %s", at, stream, got, want)
		}
	}
	want("a", "x", "+")
	want("a", "y", "+")
	want("b", "x", "+")
	tr.Set("a", "z")
	wantAt(t, tr, "a", "z", "z")
	want("a", "z", "duplicate")
	want("a", "x", "+")
	want("b", "x", "duplicate")
	tr.Rewind() // which forgets what has not returned; z was handled
	want("a", "z", "duplicate")
	want("a", "x", "+")
	tr.Set("a", "")
	want("a", "z", "+")
}

// A position that is set is saved instead of the one before it, once.
func TestSetIsSaved(t *testing.T) {
	tr := newTracker(Consecutive)
	tr.Saves = true
	for stream, at := range map[string]string{"a": "1", "b": "7"} {
		m, _ := admit(tr, stream, at)
		tr.Done(m, nil)
	}
	tr.Set("a", "5")
	if !tr.HasUnsaved() || len(tr.out.unsaved) != 2 {
		t.Errorf("%d streams are to be saved", len(tr.out.unsaved))
	}
	if got, want := tr.Unsaved(), map[string]string{"a": "5", "b": "7"}; !maps.Equal(got, want) {
		t.Errorf("%v is to be saved and not %v", got, want)
	}
	if got := tr.Unsaved(); got != nil || tr.HasUnsaved() {
		t.Errorf("%v is to be saved again", got)
	}
}

func TestUnsaved(t *testing.T) {
	tr := newTracker(Consecutive)
	tr.Saves = true
	handle := func(stream, at string) {
		m, _ := admit(tr, stream, at)
		if tr.Done(m, nil) {
			t.Errorf("%s of stream %s is recovered", at, stream)
		}
	}
	want := func(want map[string]string) (got map[string]string) {
		t.Helper()
		if got = tr.Unsaved(); !maps.Equal(got, want) {
			t.Errorf("%v is to be saved and not %v", got, want)
		}
		return got
	}
	want(nil)
	if tr.HasUnsaved() {
		t.Error("something is to be saved")
	}
	handle("a", "1")
	handle("a", "2")
	if !tr.HasUnsaved() || len(tr.out.unsaved) != 1 {
		t.Errorf("%d streams are to be saved, and not 1", len(tr.out.unsaved))
	}
	handle("b", "7")
	failed := want(map[string]string{"a": "2", "b": "7"})
	want(nil)
	handle("a", "3")
	tr.Again(failed)
	handle("a", "4")
	want(map[string]string{"a": "4", "b": "7"})
}

// What a Receiver notes by itself is what the Tracker would have noted: one that goes on by itself and one
// that always asks say the same of all that comes, whatever is set meanwhile.
func TestReceiverIsExact(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 43))
		order := []Order{Increasing, Consecutive}[seed%2]
		one, other := newTracker(order), newTracker(order)
		streams := []string{"", "", "", "", "a", "b"}
		next := map[string]int{}
		alone := 0
		for step := range 400 {
			stream := streams[random.IntN(len(streams))]
			switch random.IntN(25) {
			case 0:
				one.Connection()
				other.Connection()
			case 1:
				at := []string{"", "7", "007", "1.5", "x", strconv.Itoa(next[stream] + random.IntN(5))}[random.IntN(6)]
				one.Set(stream, at)
				other.Set(stream, at)
			case 2:
				one.r.Publish()
				one.Rewind()
				other.Rewind()
			case 3:
				if random.IntN(5) == 0 {
					one.Reset()
					other.Reset()
					one.Loaded(map[string]string{"": "3", "a": "x"})
					other.Loaded(map[string]string{"": "3", "a": "x"})
				}
			default:
				next[stream] += []int{1, 1, 1, 1, 1, 1, 0, 2, -1}[random.IntN(9)]
				at := strconv.Itoa(next[stream])
				switch random.IntN(20) {
				case 0:
					at = "0" + at
				case 1:
					at += ".5"
				case 2:
					at = "no number"
				}
				answer := random.IntN(10) == 0
				admit := func(tr *tracker) (Mark, Verdict) {
					if stream == "" && step%2 == 0 {
						return tr.r.AdmitBytes([]byte(at), answer)
					}
					return tr.r.Admit(stream, at, answer)
				}
				m, got := admit(one)
				if one.r.unpublished {
					alone++
				}
				other.r.stream = nil
				n, want := admit(other)
				if !reflect.DeepEqual(got, want) || m.IsSet() != n.IsSet() || !reflect.DeepEqual(m.Gap(), n.Gap()) {
					t.Fatalf("seed %d, step %d: %s of %q is %+v, %v and not %+v, %v", seed, step, at, stream, got, m, want, n)
				}
				if m.IsSet() {
					one.Done(m, nil)
					other.Done(n, nil)
				}
			}
			if random.IntN(3) > 0 {
				continue
			}
			for _, s := range streams {
				if r, h := one.Received(s), one.Handled(s); r != other.Received(s) || h != other.Handled(s) {
					t.Fatalf("seed %d, step %d: stream %q is received up to %q and handled up to %q, not %q and %q",
						seed, step, s, r, h, other.Received(s), other.Handled(s))
				}
			}
		}
		if alone < 20 {
			t.Errorf("seed %d: only %d positions were noted without the Tracker", seed, alone)
		}
	}
}

// While one goroutine receives, others ask for positions and set them. What was set last counts for what
// comes from then on.
func TestSetWhileReceiving(t *testing.T) {
	tr := New(Increasing)
	r := tr.Connection()
	const last = 5000
	marks := make(chan Mark, 64)
	done := make(chan bool)
	go func() {
		defer close(done)
		for m := range marks {
			tr.Done(m, nil)
		}
	}()
	go func() {
		for n := 0; n < last; n += 250 {
			tr.Set("", strconv.Itoa(n))
			tr.Received("")
			tr.Handled("")
		}
		tr.Set("", strconv.Itoa(last-1))
		done <- true
	}()
	setting, n := true, 0
	for ; setting || n < last; n++ {
		select {
		case <-done:
			setting = false
		default:
		}
		if m, _ := r.AdmitBytes(strconv.AppendInt(nil, int64(n), 10), false); m.IsSet() {
			marks <- m
		}
		if n%32 == 0 {
			r.Publish()
		}
	}
	m, v := r.AdmitBytes(strconv.AppendInt(nil, int64(n), 10), false)
	if v.Duplicate {
		t.Fatalf("%d is a duplicate", n)
	}
	marks <- m
	r.Publish()
	close(marks)
	<-done
	if got, handled := tr.Received(""), tr.Handled(""); got != strconv.Itoa(n) || handled != got {
		t.Errorf("received up to %s and handled up to %s, not %d", got, handled, n)
	}
}

// A model: messages of a few streams over connections that end, with loops that hold them, duplicates and
// handlers that fail. What was handled is a beginning of what was received, and every number is handled
// once.
func TestModel(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 41))
		order := []Order{Opaque, Increasing, Consecutive}[seed%3]
		tr := newTracker(order)
		tr.Saves, tr.Redeliver = true, true
		type message struct {
			stream string
			n      int
			mark   Mark
			held   *Hold
		}
		var inbox, held []message // received and not handled; with a loop
		handled := map[string]int{}
		saved := map[string]int{}
		next := map[string]int{}
		streams := []string{"", "a", "b"}
		for range 500 {
			stream := streams[random.IntN(len(streams))]
			switch random.IntN(12) {
			case 0: // another connection, on which the server begins behind what was received, or at it
				tr.Connection()
				for _, s := range streams {
					at, _ := strconv.Atoi(tr.Received(s))
					next[s] = max(at-random.IntN(2), 0)
				}
			case 1, 2, 3, 4, 5: // a message comes
				next[stream]++
				at, _ := strconv.Atoi(tr.Received(stream))
				m, got := admit(tr, stream, strconv.Itoa(next[stream]))
				if want := next[stream] <= at; want != (got == "duplicate") || !want && got != "+" {
					t.Fatalf("seed %d: number %d behind %d is %s", seed, next[stream], at, got)
				}
				if m.IsSet() {
					inbox = append(inbox, message{stream, next[stream], m, nil})
				}
			case 6, 7, 8, 9: // a callback returns
				if len(inbox) == 0 {
					continue
				}
				m := inbox[0]
				if random.IntN(20) == 0 { // or fails: all that is behind it comes again
					tr.Failed(m.mark)
					inbox = nil
					tr.Rewind()
					tr.Connection()
					for _, s := range streams {
						next[s], _ = strconv.Atoi(tr.Received(s))
						if next[s] != handled[s] {
							t.Fatalf("seed %d: stream %q goes back to %d and not to %d", seed, s, next[s], handled[s])
						}
					}
					continue
				}
				if handled[m.stream]++; handled[m.stream] != m.n {
					t.Fatalf("seed %d: %d of stream %q is handled and not %d", seed, m.n, m.stream, handled[m.stream])
				}
				if inbox = inbox[1:]; random.IntN(4) == 0 {
					m.held = tr.Hold(m.mark)
					held = append(held, m)
				}
				tr.Done(m.mark, m.held)
			case 10: // a loop asks for the next
				if len(held) > 0 {
					i := random.IntN(len(held))
					tr.Release(held[i].held)
					held = append(held[:i], held[i+1:]...)
				}
			case 11:
				for s, at := range tr.Unsaved() {
					n, _ := strconv.Atoi(at)
					if n < saved[s] || n > handled[s] {
						t.Fatalf("seed %d: stream %q is saved at %d, after %d and with %d handled", seed, s, n, saved[s], handled[s])
					}
					saved[s] = n
				}
			}
			// Nothing counts that is held, or behind it in any stream.
			for _, s := range streams {
				at, _ := strconv.Atoi(tr.Handled(s))
				for _, h := range held {
					if h.stream == s && at >= h.n {
						t.Fatalf("seed %d: stream %q is handled up to %d, and a loop has %d", seed, s, at, h.n)
					}
				}
				if len(held) == 0 && at != handled[s] {
					t.Fatalf("seed %d: stream %q is handled up to %d and not %d", seed, s, at, handled[s])
				}
			}
		}
	}
}
