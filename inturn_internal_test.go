package wsnotify

import "testing"

// A panic of a Logger is the user's.
func TestPanicOfALoggerGoesOn(t *testing.T) {
	var got any
	func() {
		defer func() { got = recover() }()
		inTurn(func() { panic("logger") }, func() { t.Error("the callback was called") })
	}()
	if got != "logger" {
		t.Errorf("recovered %v", got)
	}
}
