package wsnotify

import (
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// errors.As finds what a DecodeError wraps.
func TestDecodeErrorWrapsItsCause(t *testing.T) {
	cause := &json.UnmarshalTypeError{}
	var got *json.UnmarshalTypeError
	if !errors.As(&DecodeError{Err: cause}, &got) || got != cause {
		t.Error("errors.As does not find the cause")
	}
}

// A panic of a Logger is the user's: it is not taken for one that ends its
// goroutine, and no callback is called on its way out.
func TestPanicOfALogger(t *testing.T) {
	var got any
	func() {
		defer func() { got = recover() }()
		inTurn(func() { panic("logger") }, func() { t.Error("the callback was called") })
	}()
	if got != "logger" {
		t.Errorf("recovered %v", got)
	}
}

// The longest wait of Exponential is 10 s where nothing else is said.
func TestExponentialDefaults(t *testing.T) {
	b := Exponential(0, 0, -1)()
	longest := time.Duration(0)
	for range 10_000 {
		longest = max(longest, b.NextBackOff())
	}
	if longest > 10*time.Second || longest < 9900*time.Millisecond {
		t.Errorf("the longest wait is %v", longest)
	}
}
