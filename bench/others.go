package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// A machine that does other work at the same time changes the figures, and in
// favour of those who make many write calls: a server that has to wait for a
// core need not be woken for each of them. So it is measured and printed.

// busy is CPU time that was spent up to a moment.
type busy struct {
	at     time.Time
	all    time.Duration // by every process
	server time.Duration
}

// tick is the unit of /proc on every Linux that Go runs on.
const tick = 10 * time.Millisecond

func busyNow(server int) busy {
	b := busy{at: time.Now()}
	if text, err := os.ReadFile("/proc/stat"); err == nil {
		line, _, _ := bytes.Cut(text, []byte("\n"))
		for i, field := range bytes.Fields(line) {
			// cpu user nice system idle iowait irq softirq steal …
			if i >= 1 && i <= 8 && i != 4 && i != 5 {
				b.all += ticks(field)
			}
		}
	}
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", server)); err == nil {
		// The fields are counted from behind the name, which may hold spaces.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		if len(fields) > 12 {
			b.server = ticks(fields[11]) + ticks(fields[12])
		}
	}
	return b
}

func ticks(field []byte) time.Duration {
	n, _ := strconv.ParseInt(string(field), 10, 64)
	return time.Duration(n) * tick
}

// calmly does a job, again if the machine was not calm, and returns the calmest.
func (j job) calmly(server int, cores float64) (calmest Result, err error) {
	for try := range 3 {
		before := busyNow(server)
		r, cpu, err := j.do()
		if err != nil {
			return r, err
		}
		r.Others = busyNow(server).others(before, cpu)
		if try == 0 || r.Others < calmest.Others {
			calmest = r
		}
		if r.Others <= cores {
			break
		}
	}
	return calmest, nil
}

// others is how many cores were busy with what was neither the server nor a
// client that took so much; 0 where there is no /proc.
func (b busy) others(before busy, client time.Duration) float64 {
	spent := b.all - before.all - (b.server - before.server) - client
	return max(0, float64(spent)/float64(b.at.Sub(before.at)))
}
