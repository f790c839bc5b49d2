package wsnotifytest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Network is a network in memory with any number of servers on it, which a test can break at
// will. It opens no sockets and so runs in the virtual time of testing/synctest: make it inside
// the bubble. It works outside of one too. All methods may be called from any goroutine.
type Network struct {
	tb     TB
	scope  *scope
	bubble bool
	writes atomic.Int64
	cert   func() *certificate

	mu        sync.Mutex
	changed   broadcast
	servers   []*Server
	hosts     map[string]*Server    // by name in lower case, and by address
	conns     map[*pipeConn]*Server // client ends that the client has not closed
	closed    bool
	dials     int
	maxConns  int
	link      linkConfig
	refuse    bool
	hang      bool
	noHost    bool
	hole      bool
	holed     []*link // those that hole has cut
	allowOpen bool
}

// NewNetwork returns a network without servers. When the test ends, the network goes with all
// its servers, and a connection or a goroutine that the code under test has left fails the test.
func NewNetwork(t TB) *Network {
	sc := enter(t, "NewNetwork")
	t.Helper()
	n := &Network{
		tb:      t,
		scope:   sc,
		bubble:  inBubble(),
		changed: newBroadcast(),
		conns:   make(map[*pipeConn]*Server),
		hosts:   make(map[string]*Server),
		cert:    sync.OnceValue(newCertificate),
	}
	t.Cleanup(n.cleanup)
	return n
}

// NewServer adds a server: "server-1.test", "server-2.test" and so on.
func (n *Network) NewServer() *Server {
	n.tb.Helper()
	return n.add(false)
}

// NewTLSServer is NewServer with TLS; the network's HTTPClient trusts its certificate.
func (n *Network) NewTLSServer() *Server {
	n.tb.Helper()
	return n.add(true)
}

func (n *Network) add(withTLS bool) *Server {
	n.tb.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		n.tb.Fatalf("wsnotifytest: NewServer on a network whose test is over")
	}
	s := newServer(n.tb, n.scope)
	s.network = n
	number := len(n.servers) + 1
	s.host = fmt.Sprintf("server-%d.test", number)
	if s.ip = net.IPv4(192, 0, 2, byte(number)); number > 254 { // TEST-NET-1 of RFC 5737, and the network of RFC 2544
		s.ip = net.IPv4(198, 18+byte(number>>16), byte(number>>8), byte(number))
	}
	s.port = 80
	if withTLS {
		s.port = 443
		s.tls = n.cert().serverConfig()
	}
	s.addr = net.JoinHostPort(s.host, strconv.Itoa(s.port))
	s.up = true
	n.servers = append(n.servers, s)
	n.hosts[s.host], n.hosts[s.ip.String()] = s, s
	return s
}

// HTTPClient returns a client that reaches every server of the network, also those yet to be
// added, and trusts their certificates. It keeps no idle connections.
func (n *Network) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       n.DialContext,
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{RootCAs: n.cert().pool, MinVersion: tls.VersionTLS12},
	}}
}

// DialContext connects to a server by its host name or address, as net.Dialer does, with the same
// types of error. It fits http.Transport.DialContext.
func (n *Network) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if n.bubble != inBubble() {
		err := fmt.Errorf("wsnotifytest: the network was made outside of the synctest bubble that dials %s", addr)
		n.tb.Errorf("%v", err)
		return nil, err
	}
	n.mu.Lock()
	n.dials++
	id := n.dials
	n.changed.send()
	n.mu.Unlock()
	if d := n.roundTrip(addr); d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil, dialError(network, addr, ctx.Err())
		}
	}
	for {
		conn, wait, err := n.tryDial(id, network, addr)
		if ctx.Err() != nil {
			if conn != nil {
				_ = conn.Close()
			}
			return nil, dialError(network, addr, ctx.Err())
		}
		if wait == nil {
			if conn == nil {
				return nil, err
			}
			return conn, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
		}
	}
}

// tryDial decides about one dial as the network is now; wait is not nil if it has to be asked
// again after a change.
func (n *Network) tryDial(id int, network, addr string) (conn *pipeConn, wait <-chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, dialError(network, addr, err)
	}
	s, found := n.lookup(host)
	refused := dialError(network, addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	switch {
	case n.closed:
		return nil, nil, refused
	case n.noHost, !found:
		return nil, nil, dialError(network, addr,
			&net.DNSError{Err: "no such host", Name: host, IsNotFound: true})
	case n.hang, n.hole, s.hangs():
		return nil, n.changed.next(), nil
	case n.refuse, port != strconv.Itoa(s.port):
		return nil, nil, refused
	}
	l := newLink(n.link)
	client, server := l.ends[0], l.ends[1]
	client.local = &net.TCPAddr{IP: net.IPv4(198, 51, 100, 1), Port: 32768 + id%32768}
	client.remote = &net.TCPAddr{IP: s.ip, Port: s.port}
	server.local, server.remote = client.remote, client.local
	client.writeCalls = &n.writes
	client.onClose = func() { n.forget(client, s) }
	if !s.accept(server, relay{}) {
		return nil, nil, refused
	}
	n.conns[client] = s
	n.maxConns = max(n.maxConns, len(n.conns))
	return client, nil, nil
}

func (n *Network) lookup(host string) (*Server, bool) {
	s, found := n.hosts[strings.ToLower(strings.TrimSuffix(host, "."))]
	return s, found
}

// forget is notified that the client has closed its end.
func (n *Network) forget(c *pipeConn, s *Server) {
	n.mu.Lock()
	delete(n.conns, c)
	n.changed.send()
	n.mu.Unlock()
	s.poke()
}

func (n *Network) roundTrip(addr string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	latency := n.link.latency
	if host, _, err := net.SplitHostPort(addr); err == nil {
		if s, found := n.lookup(host); found {
			s.mu.Lock()
			if s.latency != nil {
				latency = *s.latency
			}
			s.mu.Unlock()
		}
	}
	return 2 * latency
}

func dialError(network, addr string, err error) error {
	return &net.OpError{Op: "dial", Net: network, Addr: hostAddr{network, addr}, Err: err}
}

type hostAddr struct{ network, addr string }

func (a hostAddr) Network() string { return a.network }
func (a hostAddr) String() string  { return a.addr }
