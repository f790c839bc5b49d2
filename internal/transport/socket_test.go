//go:build !js

package transport

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// connected returns both ends of a connection on loopback.
func connected(t *testing.T) (conn, peer net.Conn) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if conn, err = net.Dial("tcp", ln.Addr().String()); err != nil {
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
	conn, peer := connected(t)
	counted := NewSocket(Options{WriteTimeout: -1}).Counted(conn)

	const writers, each, size = 4, 2000, 100
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
		conn.Close()
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
	conn, peer := connected(t)
	counted := NewSocket(Options{WriteTimeout: -1}).Counted(conn)
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
	if !said || !errors.As(err, &op) || op.Op != "write" {
		t.Errorf("Write: %v", err)
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
