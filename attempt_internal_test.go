package wsnotify

import (
	"context"
	"errors"
	"testing"
)

// An attempt moves on to no phase once it is over, whether its time is or somebody has abandoned it.
func TestPhasesOfAnAttemptThatIsOver(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx       context.Context
		abandoned bool
		err       error
	}{
		"going on":            {t.Context(), false, nil},
		"its ctx has ended":   {ended, false, context.Canceled},
		"it was abandoned":    {t.Context(), true, context.Canceled},
		"abandoned and ended": {ended, true, context.Canceled},
	} {
		a := &attempt{phase: PhaseDial, abandoned: test.abandoned}
		err := a.in(test.ctx, PhaseHook)
		if !errors.Is(err, test.err) || (err == nil) != (a.phase == PhaseHook) || (err == nil) != (test.err == nil) {
			t.Errorf("%s: %v, in the phase %v", name, err, a.phase)
		}
	}
}

// Behind its abandonment an attempt goes on to nothing.
func TestAbandonedAttempt(t *testing.T) {
	a := &attempt{phase: PhaseHook, result: make(chan attemptResult, 1), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	a.abandon(cancel, nil)
	a.conclude(nil, errors.New("no"))
	if err := a.in(t.Context(), PhaseDial); !errors.Is(err, context.Canceled) || ctx.Err() == nil || len(a.result) != 0 {
		t.Errorf("%v, %v, %d results", err, ctx.Err(), len(a.result))
	}
}

// An attempt that was abandoned has no result, and the error of any other names the URL.
func TestResultOfAnAttempt(t *testing.T) {
	for _, abandoned := range []bool{false, true} {
		a := &attempt{url: "ws://server/", result: make(chan attemptResult, 1), abandoned: abandoned}
		a.conclude(nil, errors.New("no"))
		select {
		case res := <-a.result:
			var named *attemptError
			if abandoned || !errors.As(res.err, &named) {
				t.Errorf("abandoned %v: %v", abandoned, res.err)
			}
		default:
			if !abandoned {
				t.Error("no result")
			}
		}
	}
}
