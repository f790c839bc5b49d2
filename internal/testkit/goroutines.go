package testkit

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Main runs the tests of a package and ends the process. It fails if goroutines are left
// whose stacks contain one of names.
func Main(m *testing.M, names ...string) {
	code := m.Run()
	if code == 0 {
		if stacks := leftGoroutines(names); stacks != "" {
			fmt.Fprintf(os.Stderr, "goroutines were left behind:\n%s\n", stacks)
			code = 1
		}
	}
	os.Exit(code)
}

// leftGoroutines returns the stacks of those that do not end by themselves.
func leftGoroutines(names []string) (left string) {
	for range 100 {
		buf := make([]byte, 1<<20)
		left = ""
		for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !strings.Contains(stack, "TestMain") && slices.ContainsFunc(names, func(name string) bool { return strings.Contains(stack, name) }) {
				left += stack + "\n\n"
			}
		}
		if left == "" {
			return ""
		}
		time.Sleep(10 * time.Millisecond) // real time: a goroutine that has signalled its end may still be ending
	}
	return left
}
