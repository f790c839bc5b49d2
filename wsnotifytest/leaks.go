package wsnotifytest

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A scope is one test as this package sees it. It finds the goroutines that the code under test has
// left by a profiler label: goroutines inherit the labels of the one that starts them, so that those
// of parallel tests are distinguished for sure, and those of goroutines that are no more are found.
type scope struct {
	tb    TB
	id    string
	allow bool // guarded by scopes
}

const scopeLabel = "wsnotifytest"

var scopes = struct {
	sync.Mutex
	last int
	open map[TB]*scope
}{open: make(map[TB]*scope)}

// enter returns the scope of t, and makes it that of the calling goroutine.
func enter(t TB, caller string) *scope {
	if v := reflect.ValueOf(t); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		panic("wsnotifytest: " + caller + " needs the t of the test, and got nil; outside of a test there is Run")
	}
	t.Helper()
	shared := reflect.TypeOf(t).Comparable()
	scopes.Lock()
	var s *scope
	if shared {
		s = scopes.open[t]
	}
	first := s == nil
	if first {
		scopes.last++
		s = &scope{tb: t, id: strconv.Itoa(scopes.last)}
		if shared {
			scopes.open[t] = s
		}
	}
	scopes.Unlock()
	if first {
		t.Cleanup(s.leave)
	}
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(scopeLabel, s.id)))
	return s
}

func (s *scope) allowGoroutines() {
	scopes.Lock()
	defer scopes.Unlock()
	s.allow = true
}

// leave reports the goroutines that are left. It runs when the test's servers have gone.
func (s *scope) leave() {
	s.tb.Helper()
	scopes.Lock()
	for t, other := range scopes.open {
		if other == s {
			delete(scopes.open, t)
		}
	}
	allow := s.allow
	scopes.Unlock()
	if !allow {
		var left []string
		// Sleep first: a goroutine that has not run yet has no function to be named after.
		for pause, waited := time.Millisecond, time.Duration(0); waited < leaveTime; pause *= 2 {
			time.Sleep(pause)
			waited += pause
			if left = s.goroutines(); len(left) == 0 {
				break
			}
		}
		for _, g := range left {
			s.tb.Errorf("wsnotifytest: the test is over, and %s", g)
		}
	}
	pprof.SetGoroutineLabels(context.Background())
}

// goroutines describes those of the scope that are left, without the calling one.
func (s *scope) goroutines() []string {
	var profile bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&profile, 1)
	label := fmt.Sprintf("%q:%q", scopeLabel, s.id)
	var left []string
	var starters map[string]map[string]bool
	for group := range strings.SplitSeq(profile.String(), "\n\n") {
		if !strings.Contains(group, label) {
			continue
		}
		count, _, _ := strings.Cut(group, " @")
		name, file, fine := entryOf(group)
		if fine {
			continue
		}
		if starters == nil {
			starters = startersNow()
		}
		what := "a goroutine is"
		if count != "1" {
			what = count + " goroutines are"
		}
		what += fmt.Sprintf(" left in %s (%s)", name, file)
		if by := starters[name]; len(by) > 0 {
			// More than one if others have started it too: a stack does not say whose it is.
			what += ", started by " + strings.Join(slices.Sorted(maps.Keys(by)), " or ")
		}
		left = append(left, what)
	}
	return left
}

// Goroutines with one of these in their stacks are nobody's fault: the tests' own, those that idle
// connections in a pool have, and those that the standard library starts once and for all.
var excused = []string{
	"testing.", "testing/synctest.", "internal/synctest.", "os/signal.", "net/http.(*persistConn).",
	"net/http.(*http2ClientConn).", "net/http/internal/http2.(*ClientConn).", "golang.org/x/net/http2.(*ClientConn).",
	"github.com/wsnotify/wsnotify/wsnotifytest.(*scope).",
	"github.com/wsnotify/wsnotify/wsnotifytest.(*Server).calling", // Close names those
}

// What only starts other people's functions.
var launchers = []string{"sync.(*WaitGroup).Go", "golang.org/x/sync/errgroup.", "runtime.", "runtime/pprof."}

var profileFrame = regexp.MustCompile(`(?m)^#\t0x[0-9a-f]+\t(.+)\+0x[0-9a-f]+\t+(.+)$`)

// entryOf is the function that a goroutine was started for, and where it is in it, unless the
// goroutine is excused. One that has not run yet has no frames: it counts, and has when it is asked
// for again.
func entryOf(group string) (name, file string, fine bool) {
	name, file = "a function", "not begun"
	for _, frame := range profileFrame.FindAllStringSubmatch(group, -1) {
		if hasPrefix(frame[1], excused) {
			return "", "", true
		}
		if !hasPrefix(frame[1], launchers) {
			name, file = frame[1], filepath.Base(frame[2])
		}
	}
	return name, file, false
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

var (
	stackFrame = regexp.MustCompile(`(?m)^(\S.*)\(.*\)$`)
	createdBy  = regexp.MustCompile(`(?m)^created by (.+?)(?: in goroutine \d+)?$`)
)

// startersNow says for the functions of all goroutines who started those. The profile does not know.
func startersNow() map[string]map[string]bool {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	starters := make(map[string]map[string]bool)
	for stack := range strings.SplitSeq(string(buf), "\n\n") {
		by := createdBy.FindStringSubmatch(stack)
		if by == nil {
			continue
		}
		for _, frame := range stackFrame.FindAllStringSubmatch(stack, -1) {
			if starters[frame[1]] == nil {
				starters[frame[1]] = make(map[string]bool)
			}
			starters[frame[1]][by[1]] = true
		}
	}
	return starters
}
