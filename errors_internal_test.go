package wsnotify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// What stands between an error and its cause hides neither from errors.Is and errors.As, but for the
// cancellation that ended a drain.
func TestErrorsInBetweenWrapTheirCause(t *testing.T) {
	cause := &json.UnmarshalTypeError{}
	ended := fmt.Errorf("wsnotify: it ended: %w", errors.Join(cause, context.Canceled, io.EOF))
	drained := left{unhandled: 1}.error(ended)
	shown := shownError{ended}
	for name, err := range map[string]error{"unprefixed": unprefixed(ended), "shown": shown, "drained": drained} {
		var got *json.UnmarshalTypeError
		if !errors.As(err, &got) || got != cause {
			t.Errorf("%s: errors.As does not find the cause", name)
		}
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: errors.Is finds another cause", name)
		}
		if errors.Is(err, context.Canceled) == (name == "drained") {
			t.Errorf("%s matches context.Canceled: %v", name, name == "drained")
		}
	}
	if got := unprefixed(ended).Error(); "wsnotify: "+got != ended.Error() {
		t.Errorf("without the prefix it says %q", got)
	}
	if err := errors.New("anything"); unprefixed(err) != err {
		t.Error("an error without the prefix is not left as it is")
	}
	if err := (left{}).error(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
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
