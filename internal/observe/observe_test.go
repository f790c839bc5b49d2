package observe

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// A field that Status counts is shown, under its own name.
func TestEveryFieldIsShown(t *testing.T) {
	for _, test := range []struct {
		counts any
		shown  func(any) map[string]uint64
	}{
		{&wsnotify.FailureCounts{}, func(c any) map[string]uint64 { return maps.Collect(Causes(*c.(*wsnotify.FailureCounts))) }},
		{&wsnotify.UndeliveredCounts{}, func(c any) map[string]uint64 { return maps.Collect(Reasons(*c.(*wsnotify.UndeliveredCounts))) }},
	} {
		v := reflect.ValueOf(test.counts).Elem()
		var fields []string
		for i := range v.NumField() {
			v.Field(i).SetUint(uint64(i) + 1)
			fields = append(fields, strings.ToLower(v.Type().Field(i).Name))
		}
		shown := test.shown(test.counts)
		if len(shown) != len(fields) {
			t.Errorf("%v of %T is shown, and its fields are %v", shown, test.counts, fields)
		}
		for name, n := range shown {
			if i := slices.Index(fields, strings.ReplaceAll(name, "_", "")); i < 0 || n != uint64(i)+1 {
				t.Errorf("%q of %T shows the value of field %d", name, test.counts, n)
			}
		}
	}
}

func TestStatesAreThoseOfTheClient(t *testing.T) {
	var states []wsnotify.ReadyState
	for state, name := range States {
		if states = append(states, state); strings.ToLower(state.String()) != name {
			t.Errorf("%v is called %q", state, name)
		}
	}
	if want := []wsnotify.ReadyState{wsnotify.Connecting, wsnotify.Open, wsnotify.Closing, wsnotify.Closed}; !slices.Equal(states, want) {
		t.Errorf("the states are %v", states)
	}
}

// A loop may end with any of them.
func TestLoopsThatBreak(t *testing.T) {
	n := 0
	for range States {
		if n++; n == 2 {
			break
		}
	}
	for range Causes(wsnotify.FailureCounts{}) {
		n++
		break
	}
	for range Reasons(wsnotify.UndeliveredCounts{}) {
		n++
		break
	}
	if n != 4 {
		t.Errorf("the loops went round %d times", n)
	}
}
