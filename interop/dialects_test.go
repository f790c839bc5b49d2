//go:build linux

package interop

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The tests of servers with a protocol of their own, each in a file that begins
// with its name. Such a server has a method "do", which it tells of and does
// not answer if it is to hold, and sends numbers.

// node is the command of a script that needs a package of npm.
// It is to be followed by the options.
func node(t testing.TB, pkg, script string) []string {
	t.Helper()
	if _, err := os.Stat("testdata/node/node_modules/" + pkg); err != nil {
		missing(t, "the package %s is not installed: (cd interop/testdata/node && npm ci)", pkg)
	}
	return []string{need(t, "node", "apt-get install nodejs"), "testdata/node/" + script}
}

// programs are the servers in Go whose libraries are so large that they live in
// a module of their own.
var programs struct {
	once sync.Once
	dir  string
	err  error
	out  []byte
}

// build returns the path of a program of the module servers.
func build(t testing.TB, program string) string {
	t.Helper()
	programs.once.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "wsnotify-interop"); programs.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-o", programs.dir+"/", "./...")
		cmd.Dir = "servers"
		programs.out, programs.err = cmd.CombinedOutput()
	})
	if programs.err != nil {
		missing(t, "the servers of the module interop/servers can't be built: %v: %s", programs.err, programs.out)
	}
	return filepath.Join(programs.dir, program)
}

// drop ends the connections of a server without a word.
func (s *server) drop() { s.signal(syscall.SIGUSR2) }

// events are the lines of one kind.
func (p *process) events(name string) (lines []line) {
	for _, l := range p.history() {
		if l.Event == name {
			lines = append(lines, l)
		}
	}
	return lines
}

// did is what a process was asked to do, in order.
func (p *process) did() (numbers []int) {
	for _, l := range p.events("do") {
		n, _ := strconv.Atoi(l.Text)
		numbers = append(numbers, n)
	}
	return numbers
}

// sequence is the numbers that came.
type sequence struct {
	mu      sync.Mutex
	numbers []int
	news    chan struct{} // of capacity 1
}

func newSequence() *sequence { return &sequence{news: make(chan struct{}, 1)} }

// next is the number that should come.
func (s *sequence) next() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.numbers) == 0 {
		return 1
	}
	return s.numbers[len(s.numbers)-1] + 1
}

// add notes a number, unless it or a later one has come before: while a
// callback is busy with number 7, the next connection begins at 7.
func (s *sequence) add(n int) {
	if n >= s.next() {
		s.force(n)
	}
}

// force notes a number, whatever it is.
func (s *sequence) force(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers = append(s.numbers, n)
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// await waits for the first number.
func (s *sequence) await(t testing.TB) int {
	t.Helper()
	select {
	case <-s.news:
	case <-time.After(waitLimit):
		t.Fatalf("no number came within %v", waitLimit)
	}
	return s.next() - 1
}

// reach waits for number n. No number may be missing.
func (s *sequence) reach(t testing.TB, n int) {
	t.Helper()
	timeout := time.After(waitLimit)
	for s.next() <= n {
		select {
		case <-s.news:
		case <-timeout:
			t.Fatalf("number %d did not come within %v; the next is %d", n, waitLimit, s.next())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, got := range s.numbers {
		if want := s.numbers[0] + i; got != want {
			t.Fatalf("number %d came in the place of %d", got, want)
		}
	}
}

// held asks for n without an answer, breaks the connection in the middle, and
// wants to be told that nobody knows whether it was done.
func (s *server) held(t testing.TB, n int, ask func(n int, hold bool) (int, error), breakIt func()) {
	t.Helper()
	result := make(chan error, 1)
	go func() {
		_, err := ask(n, true)
		result <- err
	}()
	s.await(t, 0, waitLimit, "the question", func(l line) bool { return l.Event == "do" && l.Text == itoa(n) })
	breakIt()
	select {
	case err := <-result:
		if !errors.Is(err, wsnotify.ErrUnconfirmed) {
			t.Errorf("a question that was not answered ended with %v", err)
		}
	case <-time.After(waitLimit):
		t.Fatal("a question waits though its connection has ended")
	}
}

// asked asks for n and wants it.
func asked(t testing.TB, n int, ask func(n int, hold bool) (int, error)) {
	t.Helper()
	if got, err := ask(n, false); err != nil || got != n {
		t.Errorf("the answer to %d is %d, %v", n, got, err)
	}
}

func wantDone(t testing.TB, p *process, want ...int) {
	t.Helper()
	if got := p.did(); !slices.Equal(got, want) {
		t.Errorf("the server did %v and not %v", got, want)
	}
}
