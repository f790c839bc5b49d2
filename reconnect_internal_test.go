package wsnotify

import (
	"errors"
	"testing"
)

// A Reconnect that was requested when the connection had just been lost cuts short
// the wait that follows.
func TestReconnectRequestWaitsForTheNextDial(t *testing.T) {
	r := &run{}
	first, second := newReconnectRequest(), newReconnectRequest()
	r.setReconnectRequest(first, nil)
	first.request()
	r.setReconnectRequest(second, nil)
	if r.reconnectReq != first {
		t.Error("it was forgotten")
	}
	r.setReconnectRequest(nil, nil)
	<-first.done
	if r.reconnectReq != nil {
		t.Error("it is still there")
	}
}

// A state that came, and a later Connect, count also where the run is over by the time that WaitFor looks.
func TestWaitForLooksAgainAtTheEnd(t *testing.T) {
	closed, never := make(chan struct{}), make(chan struct{})
	close(closed)
	lost := errors.New("lost")
	for range 50 { // a select takes any case that is ready
		for _, test := range []struct {
			name           string
			reached, begun <-chan struct{}
			again          bool
			err            error
		}{
			{"over", never, never, false, ErrClosed},
			{"over and reached", closed, never, false, nil},
			{"over and begun", never, closed, true, nil},
		} {
			r := &run{runMilestones: runMilestones{over: closed}}
			if again, err := r.waitFor(t.Context(), test.reached, test.begun); again != test.again || err != test.err {
				t.Fatalf("%s: %v, %v, want %v, %v", test.name, again, err, test.again, test.err)
			}
		}
		r := &run{runMilestones: runMilestones{over: closed}}
		r.err = lost
		if again, err := r.waitFor(t.Context(), never, never); again || err != lost {
			t.Fatalf("over with an error: %v, %v", again, err)
		}
	}
}
