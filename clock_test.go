package wsnotify_test

import (
	"go/ast"
	"go/parser"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

// The wall clock may jump, so nothing but what is for showing may hang on it.
// A time.Time of time.Now has a monotonic reading, which differences and
// timers go by; it is lost to the functions below, and what some of them make
// never had one. Each use has to be listed here, with its reason.
func TestOnlyTheMonotonicClockDecides(t *testing.T) {
	allowed := map[string]int{
		"internal/handshake/failure.go ParseTime": 1, // a Retry-After that is a date; bounded
		"events.go Round":                         2, // of a time.Duration, which is shown
		// Status.LastReceived, which is shown: noted, kept, and read by snapshot alone.
		"conn.go UnixNano": 1, "state.go Unix": 1,
		"conn.go lastReceived": 1, "state.go lastReceived": 1, "state.go LastReceived": 1,
	}
	strips := []string{
		"Unix", "UnixMilli", "UnixMicro", "UnixNano", "Round", "Truncate", "UTC", "Local", "In", "AddDate", "Date",
		"Parse", "ParseInLocation", "ParseTime", "MarshalJSON", "MarshalText", "MarshalBinary", "GobEncode", "Clock",
		"lastReceived", "LastReceived",
	}
	files := testkit.Sources(t, ".", parser.SkipObjectResolution)
	for _, folder := range []string{"handshake", "inbox", "outbox"} {
		maps.Copy(files, testkit.Sources(t, "internal/"+folder, parser.SkipObjectResolution))
	}
	got := map[string]int{}
	for name, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || !slices.Contains(strips, sel.Sel.Name) {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); sel.Sel.Name == "Parse" && !(ok && pkg.Name == "time") {
				return true // url.Parse, Envelope.Parse
			} else if ok && pkg.Name == "peertime" {
				return true // Clock
			}
			got[filepath.ToSlash(name)+" "+sel.Sel.Name]++
			return true
		})
	}
	for use, n := range got {
		if n > allowed[use] {
			t.Errorf("%s is used %d times; does anything decide by the wall clock?", use, n)
		}
	}
	if len(got) == 0 {
		t.Error("nothing was checked")
	}
}
