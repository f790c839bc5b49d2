package main

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// Result is what one measurement of a work with a library gave.
type Result struct {
	Work    string
	Lib     string
	Skipped string `json:",omitempty"` // why there are no figures

	Messages  int64   `json:",omitempty"`
	Rate      float64 `json:",omitempty"` // messages a second
	CPU       float64 `json:",omitempty"` // ns a message, user and system, of the client process
	Allocs    float64 `json:",omitempty"` // a message
	Bytes     float64 `json:",omitempty"` // allocated, a message
	Writes    float64 `json:",omitempty"` // write calls a message
	Reads     float64 `json:",omitempty"` // read calls a message
	Wire      float64 `json:",omitempty"` // bytes written to the socket, a message
	Syncs     float64 `json:",omitempty"` // of a file, a second
	P50, P99  float64 `json:",omitempty"` // ns, where time is what counts
	Memory    float64 `json:",omitempty"` // heap and stacks, bytes a connection
	Resident  float64 `json:",omitempty"` // of the process, bytes a connection
	Goroutine float64 `json:",omitempty"` // a connection
	Peak      float64 `json:",omitempty"` // of handshakes in a bucket, against the mean
	Busy      float64 `json:",omitempty"` // cores
	Back      float64 `json:",omitempty"` // ns until every client was open, or back

	Connections float64 `json:",omitempty"` // of TCP, each with a handshake of TLS

	Handshakes []time.Duration `json:",omitempty"`

	Others float64 // cores that other processes kept busy meanwhile
}

// median takes the median of every figure over the rounds.
func median(rounds []Result) Result {
	m := rounds[len(rounds)-1]
	for _, field := range []func(*Result) *float64{
		func(r *Result) *float64 { return &r.Rate },
		func(r *Result) *float64 { return &r.CPU },
		func(r *Result) *float64 { return &r.Allocs },
		func(r *Result) *float64 { return &r.Bytes },
		func(r *Result) *float64 { return &r.Writes },
		func(r *Result) *float64 { return &r.Reads },
		func(r *Result) *float64 { return &r.Wire },
		func(r *Result) *float64 { return &r.Syncs },
		func(r *Result) *float64 { return &r.P50 },
		func(r *Result) *float64 { return &r.P99 },
		func(r *Result) *float64 { return &r.Memory },
		func(r *Result) *float64 { return &r.Resident },
		func(r *Result) *float64 { return &r.Goroutine },
		func(r *Result) *float64 { return &r.Peak },
		func(r *Result) *float64 { return &r.Others },
	} {
		values := make([]float64, len(rounds))
		for i := range rounds {
			values[i] = *field(&rounds[i])
		}
		slices.Sort(values)
		n := len(values)
		*field(&m) = (values[(n-1)/2] + values[n/2]) / 2
	}
	return m
}

// calls counts the calls that the process makes to its sockets.
type calls struct{ writes, reads, sent atomic.Int64 }

// countingConn is a *net.TCPConn in everything but that it counts.
type countingConn struct {
	*net.TCPConn
	calls *calls
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.calls.writes.Add(1)
	n, err := c.TCPConn.Write(p)
	c.calls.sent.Add(int64(n))
	return n, err
}

func (c *countingConn) Read(p []byte) (int, error) {
	c.calls.reads.Add(1)
	return c.TCPConn.Read(p)
}

func (c *calls) dialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &countingConn{conn.(*net.TCPConn), c}, nil
}

// meter measures what the process spends from start to stop.
type meter struct {
	calls         *calls
	at            time.Time
	cpu           time.Duration
	mem           runtime.MemStats
	writes, reads int64
	sent          int64
}

func (m *meter) start() {
	runtime.GC()
	runtime.ReadMemStats(&m.mem)
	m.writes, m.reads, m.sent = m.calls.writes.Load(), m.calls.reads.Load(), m.calls.sent.Load()
	m.cpu = cpuTime()
	m.at = time.Now()
}

// stop returns what was spent on so many messages.
func (m *meter) stop(messages func() int64) Result {
	n := messages()
	elapsed, cpu := time.Since(m.at), cpuTime()-m.cpu
	writes, reads := m.calls.writes.Load()-m.writes, m.calls.reads.Load()-m.reads
	sent := m.calls.sent.Load() - m.sent
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	each := max(float64(n), 1)
	return Result{
		Messages: n,
		Rate:     float64(n) / elapsed.Seconds(),
		CPU:      float64(cpu) / each,
		Allocs:   float64(mem.Mallocs-m.mem.Mallocs) / each,
		Bytes:    float64(mem.TotalAlloc-m.mem.TotalAlloc) / each,
		Writes:   float64(writes) / each,
		Reads:    float64(reads) / each,
		Wire:     float64(sent) / each,
	}
}

// cpuTime is what the operating system has counted for this process.
func cpuTime() time.Duration {
	var ru syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &ru); err != nil {
		panic(err) // there is no such failure for RUSAGE_SELF
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
