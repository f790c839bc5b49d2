package wsnotifytest

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A socket is the server's end of one connection, with TLS or without. Its lock is held for no I/O.
type socket struct {
	pipe *pipeConn
	top  net.Conn // what the server reads and writes: gate, or TLS over it

	ctx    context.Context // ends with the socket
	cancel context.CancelFunc

	cork *[]byte // what is written is collected there; only for the goroutine that serves the socket

	mu      sync.Mutex
	closed  bool
	stopped chan struct{} // not nil while reading is stopped; closed when it goes on
}

func newSocket(pipe *pipeConn, config *tls.Config) *socket {
	k := &socket{pipe: pipe}
	k.ctx, k.cancel = context.WithCancel(context.Background())
	k.top = gate{pipe, k}
	if config != nil {
		k.top = tls.Server(k.top, config)
	}
	return k
}

// A gate is the socket's connection with a tap in it. It is below TLS, so that what TLS has
// buffered is all that can still come once the tap is closed.
type gate struct {
	net.Conn
	k *socket
}

// Read hides the timeout with which stopReading interrupts it: nothing else sets a read deadline.
func (g gate) Read(p []byte) (int, error) {
	for {
		if !g.k.waitReading() {
			return 0, net.ErrClosed
		}
		n, err := g.Conn.Read(p)
		if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		return n, err
	}
}

// Write collects what is written while there is a cork.
func (g gate) Write(p []byte) (int, error) {
	if cork := g.k.cork; cork != nil {
		*cork = append(*cork, p...)
		return len(p), nil
	}
	return g.Conn.Write(p)
}

// writeMarked writes p, over TLS or not, and has read called once the client has read it: see there.
func (k *socket) writeMarked(p []byte, read func()) error {
	var corked []byte
	k.cork = &corked
	_, err := k.top.Write(p)
	k.cork = nil
	if err == nil {
		_, err = k.pipe.writeMarked(corked, read)
	}
	return err
}

// waitReading waits until reading is not stopped; false means that the socket is closed.
func (k *socket) waitReading() bool {
	for {
		k.mu.Lock()
		closed, stopped := k.closed, k.stopped
		k.mu.Unlock()
		if closed || stopped == nil {
			return !closed
		}
		select {
		case <-stopped:
		case <-k.ctx.Done():
			return false
		}
	}
}

func (k *socket) stopReading(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || on == (k.stopped != nil) {
		return
	}
	if on {
		k.stopped = make(chan struct{})
		_ = k.pipe.SetReadDeadline(time.Unix(1, 0))
		return
	}
	_ = k.pipe.SetReadDeadline(time.Time{})
	close(k.stopped)
	k.stopped = nil
}

func (k *socket) readingStopped() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.stopped != nil
}

// end closes the socket once, with how.
func (k *socket) end(how func() error) {
	k.mu.Lock()
	first := !k.closed
	k.closed = true
	k.mu.Unlock()
	if first {
		_ = how()
		k.cancel()
	}
}

// close ends the socket the polite way: with TLS the peer is told. A peer that does not read can
// delay that by up to five seconds.
func (k *socket) close() { k.end(k.top.Close) }

// drop sends a FIN and nothing else, as the kernel does for a process that was killed.
func (k *socket) drop() { k.end(k.pipe.Close) }

// reset sends an RST.
func (k *socket) reset() { k.end(k.pipe.Reset) }

// peerClosed reports whether the client has closed its end: known at once in memory, and soon on
// loopback.
func (k *socket) peerClosed() bool { return k.pipe.peer.hasEnded() }

// zombie reports whether the client is gone and the server can't notice, since the test has
// broken the link or stopped the reading.
func (k *socket) zombie() bool {
	return k.peerClosed() && (k.pipe.l.holed() || k.readingStopped())
}
