package wsnotifytest

import (
	"time"
)

// Refuse makes every dial fail at once with ECONNREFUSED, until it is called with false.
func (n *Network) Refuse(on bool) { n.set(func() { n.refuse = on }) }

// Hang makes every dial wait, until its context ends or Hang is called with false: then it goes on.
func (n *Network) Hang(on bool) { n.set(func() { n.hang = on }) }

// NoSuchHost makes every dial fail with a *net.DNSError, until it is called with false.
func (n *Network) NoSuchHost(on bool) { n.set(func() { n.noHost = on }) }

// BlackHole pulls the cable: dials hang and every connection that is there goes dead without
// anybody being told. With false the cable is back, and what was held arrives.
func (n *Network) BlackHole(on bool) {
	var links []*link
	var servers []*Server
	n.set(func() {
		n.hole = on
		servers = append(servers, n.servers...)
		links = n.holed // what a client has closed meanwhile arrives as well
		n.holed = nil
		for c := range n.conns {
			links = append(links, c.l)
		}
		if on {
			n.holed = links
		}
	})
	for _, l := range links {
		l.setHole(on)
	}
	for _, s := range servers {
		s.poke()
	}
}

// Latency is how long a byte takes from one end to the other, on connections dialled from now on.
// The dial itself takes twice as long.
func (n *Network) Latency(d time.Duration) {
	n.tb.Helper()
	if d < 0 {
		n.tb.Errorf("wsnotifytest: Latency(%v) is negative", d)
		return
	}
	n.set(func() { n.link.latency = d })
}

// BytesPerSecond limits each direction of the connections dialled from now on; 0 ends it.
func (n *Network) BytesPerSecond(rate int) {
	n.tb.Helper()
	if rate < 0 {
		n.tb.Errorf("wsnotifytest: BytesPerSecond(%d) is negative", rate)
		return
	}
	n.set(func() { n.link.bytesPerSec = rate })
}

// Buffer is how many bytes of a direction may be unread before its writer blocks, on connections
// dialled from now on. Zero is the default, 64 KiB.
func (n *Network) Buffer(bytes int) {
	n.tb.Helper()
	if bytes < 0 {
		n.tb.Errorf("wsnotifytest: Buffer(%d) is negative", bytes)
		return
	}
	n.set(func() { n.link.buffer = bytes })
}

// AllowOpenConns lets the test end with connections open, and with goroutines left.
func (n *Network) AllowOpenConns() {
	n.scope.allowGoroutines()
	n.set(func() { n.allowOpen = true })
}

// AllowGoroutines lets the test end with goroutines left that were started after the network, by the
// goroutine that made it or by one that comes from that.
func (n *Network) AllowGoroutines() { n.scope.allowGoroutines() }

// Dials is how many times DialContext was called, whatever came of it.
func (n *Network) Dials() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dials
}

// Conns is how many connections the clients hold: dialled and not closed by them, whatever the
// server did to its end.
func (n *Network) Conns() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

// MaxConns is how many connections the clients held at once at most, over all servers of the
// network, with those whose handshake was refused or not over yet.
func (n *Network) MaxConns() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.maxConns
}

// WriteCalls is how many times the clients called Write on a connection, handshakes included.
func (n *Network) WriteCalls() int { return int(n.writes.Load()) }

func (n *Network) set(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f()
	n.changed.send()
}

// leaveTime is how long a close that is under way when the test ends may take.
const leaveTime = time.Second

// cleanup reports what the clients have left open and ends everything.
func (n *Network) cleanup() {
	n.tb.Helper()
	timeout := time.NewTimer(leaveTime)
	defer timeout.Stop()
	for late := false; ; {
		n.mu.Lock()
		servers := n.servers
		strict := !n.allowOpen
		left := make(map[*pipeConn]*Server)
		for c, s := range n.conns {
			if !s.opensAllowed() {
				left[c] = s
			}
		}
		changed := n.changed.next()
		if !strict || len(left) == 0 || late {
			n.closed = true
			n.changed.send()
			n.mu.Unlock()
			if strict {
				reportLeft(n.tb, servers, left)
			}
			break
		}
		n.mu.Unlock()
		select {
		case <-changed:
		case <-timeout.C:
			late = true
		}
	}
	n.mu.Lock()
	servers := n.servers
	n.mu.Unlock()
	for _, s := range servers {
		s.Close()
	}
	n.mu.Lock()
	var links []*link
	for c := range n.conns {
		links = append(links, c.l)
	}
	n.mu.Unlock()
	for _, l := range links {
		l.kill()
	}
}

// reportLeft names the connections in left by user and number, where they have one.
func reportLeft(tb TB, servers []*Server, left map[*pipeConn]*Server) {
	tb.Helper()
	for _, s := range servers {
		for _, c := range s.all() {
			if p := c.sock.pipe; p != nil && left[p.peer] != nil {
				delete(left, p.peer)
				reportOpen(tb, c)
			}
		}
	}
	for c, s := range left {
		tb.Errorf("wsnotifytest: a connection to %s that never became a WebSocket was left open by the client at %v",
			s.addr, c.LocalAddr())
	}
}

func reportOpen(tb TB, c *Conn) {
	tb.Helper()
	tb.Errorf("wsnotifytest: connection %d of user %q was left open by the client at %v",
		c.id, c.user, c.sock.pipe.RemoteAddr())
}
