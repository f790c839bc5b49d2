package main

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// idle opens many connections, waits until each of ours has sent a heartbeat,
// and looks at what they cost.
func idle(connections int, beats bool) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		beaten := 7 * time.Second
		if limit := raiseFileLimit(); limit < uint64(connections)+100 {
			return Result{Skipped: fmt.Sprintf("only %d files may be open", limit)}, nil
		}
		if m.smokes() {
			connections, beaten = connections/50, 7*m.Time
		}
		if beats && m.lib.name != ours && m.lib.name != "coder" {
			return Result{Skipped: "nobody has written a heartbeat for it"}, nil
		}
		h := &handlers{raw: func([]byte) {}, beats: beats}
		// One connection first: what is allocated once is not per connection.
		first, err := m.lib.open(m.plain("/quiet"), h)
		if err != nil {
			return Result{}, err
		}
		defer first.close()
		before := footprint()
		err = openMany(connections, func() (client, error) { return m.lib.open(m.plain("/quiet"), h) })
		if err != nil {
			return Result{}, err
		}
		time.Sleep(beaten)
		after := footprint()
		if err := m.heapProfile(); err != nil {
			return Result{}, err
		}
		return perConnection(before, after, connections), nil
	}
}

// perConnection is what each of n connections takes.
func perConnection(before, after cost, n int) Result {
	each := float64(n)
	return Result{
		Messages:  int64(n),
		Memory:    (after.memory - before.memory) / each,
		Resident:  (after.resident - before.resident) / each,
		Goroutine: (after.goroutines - before.goroutines) / each,
	}
}

// openMany opens connections, a few at a time. They end with the process.
func openMany(n int, open func() (client, error)) error {
	var (
		wg   sync.WaitGroup
		next atomic.Int64
		fail atomic.Pointer[error]
	)
	for range 16 {
		wg.Go(func() {
			for next.Add(1) <= int64(n) && fail.Load() == nil {
				if _, err := open(); err != nil {
					fail.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := fail.Load(); err != nil {
		return *err
	}
	return nil
}

type cost struct{ memory, resident, goroutines float64 }

func footprint() cost {
	runtime.GC()
	runtime.GC() // pools let go of what they hold at the second
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	return cost{
		memory:     float64(mem.HeapInuse + mem.StackInuse),
		resident:   resident(),
		goroutines: float64(runtime.NumGoroutine()),
	}
}

// resident reads the process's resident pages; 0 where there is no /proc.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(string(fields[1]))
	return float64(pages * os.Getpagesize())
}

// raiseFileLimit returns how many files this process may have open, at best.
func raiseFileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	more := syscall.Rlimit{Cur: limit.Max, Max: limit.Max}
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &more) == nil {
		return more.Cur
	}
	return limit.Cur
}
