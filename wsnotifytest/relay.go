package wsnotifytest

import (
	"errors"
	"io"
	"net"
	"time"
)

// A relay carries bytes between a TCP socket and the link behind it, so that a connection on
// loopback can be cut and slowed down as one in memory can.
type relay struct {
	raw *net.TCPConn
	end *pipeConn // the link's client end
}

func newRelay(raw *net.TCPConn) (r relay, server *pipeConn) {
	l := newLink(linkConfig{})
	r = relay{raw, l.ends[0]}
	server = l.ends[1]
	server.local, server.remote = raw.LocalAddr(), raw.RemoteAddr()
	r.end.local, r.end.remote = server.remote, server.local
	return r, server
}

const relayBuffer = 16 << 10

// up carries what the client sends.
func (r relay) up() {
	buf := make([]byte, relayBuffer)
	for {
		n, err := r.raw.Read(buf)
		if n > 0 {
			if _, err := r.end.Write(buf[:n]); err != nil {
				return // the server has closed its end, which is for down to pass on
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = r.end.CloseWrite()
			return
		case err != nil:
			// Not Reset: as with a real socket, what came before can still be read.
			_ = r.end.Close()
			return
		}
	}
}

// down carries what the server sends, and its end.
func (r relay) down() {
	buf := make([]byte, relayBuffer)
	gone := false
	for {
		n, err := r.end.Read(buf)
		if n > 0 && !gone {
			// A client that takes nothing any more is noticed by up, after what it sent before.
			_, werr := r.raw.Write(buf[:n])
			gone = werr != nil
		}
		switch {
		case err == nil:
			continue
		case errors.Is(err, io.EOF):
			// A socket that has unread bytes is reset by Close; the FIN is to come first.
			_ = r.raw.CloseWrite()
		case !errors.Is(err, net.ErrClosed):
			_ = r.raw.SetLinger(0)
		}
		_ = r.raw.Close()
		_ = r.end.Close()
		return
	}
}

// bound makes sure that the relay ends within d after the server has closed its end, whatever the
// client and the link do.
func (r relay) bound(d time.Duration) (stop func() bool) {
	_ = r.raw.SetWriteDeadline(time.Now().Add(d))
	return time.AfterFunc(d, r.end.l.kill).Stop
}
