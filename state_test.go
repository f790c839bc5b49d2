package wsnotify

import "testing"

func TestLegalEdges(t *testing.T) {
	want := map[[2]ReadyState]bool{
		{Closed, Connecting}: true, {Connecting, Open}: true, {Connecting, Closing}: true, {Connecting, Closed}: true,
		{Open, Closing}: true, {Open, Closed}: true, {Closing, Closed}: true,
	}
	for from := Connecting; from <= Closed; from++ {
		for to := Connecting; to <= Closed; to++ {
			if legal(from, to) != want[[2]ReadyState{from, to}] {
				t.Errorf("%v to %v: %v", from, to, legal(from, to))
			}
		}
	}
}

// Those who join after it has happened wait for the next time, and those who leave after
// it do not count for that.
func TestWatchersWaitForTheNextTime(t *testing.T) {
	var w watchers
	happened := func(ch <-chan struct{}) bool {
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	first, second := w.join(), w.join()
	w.notify()
	w.notify() // nobody waits
	if !happened(first) || !happened(second) {
		t.Error("not all who waited were notified")
	}
	third, fourth := w.join(), w.join()
	w.leave(first)
	w.leave(second)
	w.leave(third)
	if happened(fourth) {
		t.Error("those who joined later were notified of what was before")
	}
	w.notify()
	if !happened(fourth) {
		t.Error("one who still waited was not notified")
	}
	w.leave(w.join())
	if w != (watchers{}) {
		t.Errorf("nobody waits, and %+v is left", w)
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Connecting.String(): "CONNECTING", Open.String(): "OPEN", Closing.String(): "CLOSING", Closed.String(): "CLOSED",
		ReadyState(9).String(): "ReadyState(9)",
		PhaseHook.String():     "hook", PhaseDial.String(): "dial", PhaseHandshake.String(): "handshake", PhaseOpen.String(): "open",
		Phase(9).String(): "Phase(9)",
		Local.String():    "local", Remote.String(): "remote", Network.String(): "network",
		RejectNew.String(): "reject-new", DropOldest.String(): "drop-oldest",
	} {
		if got != want {
			t.Errorf("%q and not %q", got, want)
		}
	}
	if Connecting != 0 || Open != 1 || Closing != 2 || Closed != 3 {
		t.Error("the numbers are not those of a browser")
	}
}
