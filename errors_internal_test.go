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
