//go:build !js

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// connected returns both ends of a connection on loopback.
func connected(t *testing.T) (conn, peer net.Conn) { return connectedBy(t, "tcp") }

func connectedBy(t *testing.T, network string) (conn, peer net.Conn) {
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if conn, err = net.Dial(network, ln.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if peer, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	return conn, peer
}

// Writes of a layer above may overlap, while the socket has room for both. Each arrives
// whole, whichever way it takes.
func TestWritesThatOverlap(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		for _, kind := range []Kind{System, Foreign} {
			t.Run(fmt.Sprint(network, " ", kind), func(t *testing.T) {
				conn, peer := connectedBy(t, network)
				writesOverlap(t, counted(conn, Options{WriteTimeout: -1, Kind: kind}), peer)
			})
		}
	}
}

// counted returns conn as a Socket has it.
func counted(conn net.Conn, opts Options) *countedConn {
	s := NewSocket(opts)
	s.Adopt(conn)
	return s.Counted(conn).(*countedConn)
}

func writesOverlap(t *testing.T, counted *countedConn, peer net.Conn) {
	if (counted.direct != nil) != (counted.s.kind == System && runtime.GOOS != "windows") {
		t.Errorf("it writes to the socket itself: %v", counted.direct != nil)
	}
	const writers, each, size = 4, 500, 100
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			for range each {
				record := bytes.Repeat([]byte{byte('a' + i)}, size-i) // the lengths differ
				if n, err := counted.Write(append(record, '\n')); n != len(record)+1 || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			}
		})
	}
	go func() {
		wg.Wait()
		counted.Close()
	}()
	all, err := io.ReadAll(peer)
	if err != nil {
		t.Fatal(err)
	}
	records := bytes.Split(bytes.TrimSuffix(all, []byte("\n")), []byte("\n"))
	if len(records) != writers*each {
		t.Errorf("%d records came, not %d", len(records), writers*each)
	}
	for _, r := range records {
		if i := int(r[0] - 'a'); !bytes.Equal(r, bytes.Repeat(r[:1], size-i)) {
			t.Fatalf("a record came as %q", r)
		}
	}
}

// What the socket says of its end is said once, and is passed on.
func TestWriteSaysThatThePeerReset(t *testing.T) {
	for _, kind := range []Kind{System, Foreign} {
		saysThatThePeerReset(t, kind)
	}
}

func saysThatThePeerReset(t *testing.T, kind Kind) {
	t.Helper()
	conn, peer := connected(t)
	counted := counted(conn, Options{WriteTimeout: -1, Kind: kind})
	_, err := counted.Write([]byte("unread"))
	if err != nil {
		t.Fatal(err)
	}
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close() // a RST
	for err == nil {
		_, err = counted.Write([]byte("more"))
	}
	var op *net.OpError
	said := errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	if runtime.GOOS == "windows" { // whose sockets have numbers of their own: WSAECONNRESET, WSAECONNABORTED
		said = errors.Is(err, syscall.Errno(10054)) || errors.Is(err, syscall.Errno(10053))
	}
	if !said || !errors.As(err, &op) || op.Op != "write" || op.Net != "tcp" || op.Source.String() != conn.LocalAddr().String() || op.Addr.String() != conn.RemoteAddr().String() {
		t.Errorf("Write: %v", err)
	}
	counted.Close()
	var again *net.OpError
	if n, err := counted.Write([]byte("more")); n != 0 || !errors.Is(err, net.ErrClosed) || !errors.As(err, &again) {
		t.Errorf("Write after Close: %d, %v", n, err)
	}
}

// A peer that takes nothing ends a Write on a socket of the system after WriteTimeout, and one that takes something
// later does not. What the socket took is known to the byte.
func TestWriteTimeoutOfASocket(t *testing.T) {
	conn, peer := connected(t)
	c := counted(conn, Options{WriteTimeout: 50 * time.Millisecond, Kind: System})
	n, err := c.Write(make([]byte, 16<<20))
	if err != ErrWriteTimeout || n <= 0 || n >= 16<<20 || !c.s.isClosed() {
		t.Errorf("Write: %d, %v", n, err)
	}
	<-c.s.ended()
	if came, _ := io.Copy(io.Discard, peer); came > int64(n) || c.s.Written() != int64(n) {
		t.Errorf("%d bytes came, and %d are counted of %d", came, c.s.Written(), n)
	}

	conn, peer = connected(t)
	c = counted(conn, Options{WriteTimeout: time.Hour, Kind: System})
	go func() {
		for !c.s.guard.On() { // until the Write waits
			runtime.Gosched()
		}
		if acked := c.s.Acknowledged(); acked > c.s.Written() {
			t.Errorf("%d bytes are acknowledged of %d", acked, c.s.Written())
		}
		io.Copy(io.Discard, peer)
	}()
	if n, err := c.Write(make([]byte, 16<<20)); n != 16<<20 || err != nil || c.s.guard.On() || c.s.writers != 0 {
		t.Errorf("Write: %d, %v, the guard is on: %v", n, err, c.s.guard.On())
	}
}

// What wraps a socket of the system is written to as it is, and the system says how much of that the peer has.
func TestWrappedSocketIsAskedOfTheSystem(t *testing.T) {
	type wrapped struct{ *net.TCPConn }
	conn, _ := connected(t)
	if _, known := acknowledged(conn); !known {
		t.Skip("this system does not tell")
	}
	c := counted(wrapped{conn.(*net.TCPConn)}, Options{WriteTimeout: -1, Kind: System})
	if c.direct != nil || !c.s.tells || !c.s.asks {
		t.Errorf("direct %v, tells %v, asks %v", c.direct != nil, c.s.tells, c.s.asks)
	}
	before := c.s.Written()
	go func() {
		for last, same := int64(0), 0; same < 100; { // until the system holds some, and takes no more
			runtime.Gosched()
			if now := c.s.Written(); now != last || now <= c.s.Acknowledged() {
				last, same = now, 0
			}
			same++
		}
		conn.SetWriteDeadline(time.Unix(1, 0))
	}()
	n, err := c.Write(make([]byte, 16<<20))
	if written, acked := c.s.Written()-before, c.s.Acknowledged()-before; err == nil || written != int64(n) || acked <= 0 || acked > written {
		t.Errorf("%d bytes were written, %v: the system says %d, and %d are acknowledged", n, err, written, acked)
	}
	direct := counted(conn, Options{WriteTimeout: -1, Kind: System})
	if direct.s.asks || direct.s.Written() != 0 {
		t.Errorf("asks %v, written %d", direct.s.asks, direct.s.Written())
	}
}

// notTCP is a net.Conn of which the system tells nothing.
type notTCP struct {
	net.Conn
	raw func() (syscall.RawConn, error)
}

func (c notTCP) SyscallConn() (syscall.RawConn, error) { return c.raw() }

// Nothing is known of what is no socket of the system, or no socket, or closed.
func TestWhatTheSystemDoesNotTell(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	closed, _ := connected(t)
	closed.Close()
	memory, _ := net.Pipe()
	for name, conn := range map[string]net.Conn{
		"in memory": memory, "a file": notTCP{memory, file.SyscallConn}, "closed": closed,
		"one that refuses": notTCP{memory, func() (syscall.RawConn, error) { return nil, net.ErrClosed }},
	} {
		acked, known := acknowledged(conn)
		if held, is := unacknowledged(conn); known || is || acked != 0 || held != 0 {
			t.Errorf("%s: %d acknowledged, %d not", name, acked, held)
		}
	}
}

// A net.Conn that says that its Close ends its calls is written to without a goroutine and
// a copy; any other that is no socket of the system is not trusted with that.
func TestKindOfANetConn(t *testing.T) {
	type ending struct {
		net.Conn
		endsCalls
	}
	socket, _ := connected(t)
	memory, _ := net.Pipe()
	for _, test := range []struct {
		name string
		conn net.Conn
		kind Kind
	}{
		{"a socket", socket, System},
		{"a net.Conn in memory", memory, Foreign},
		{"one whose Close ends its calls", ending{Conn: memory}, System},
	} {
		s := NewSocket(Options{WriteTimeout: -1})
		if s.Adopt(test.conn); s.kind != test.kind {
			t.Errorf("%s has the kind %d, not %d", test.name, s.kind, test.kind)
		}
	}
}
