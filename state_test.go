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
