package main

import (
	"context"
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// TestMain is a replica, or a NATS server of a cluster, when a test has started
// it as one.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv("REPLICAS_NATS") != "":
		natsMain(os.Getenv("REPLICAS_NATS"))
	case os.Getenv("REPLICAS_MAIN") != "":
		main()
	default:
		os.Exit(m.Run())
	}
}

// node is a NATS server of a cluster, as a process of its own.
type node struct {
	Name          string
	Port, Cluster int
	Routes        []string
	Dir           string

	cmd *exec.Cmd
}

func natsMain(text string) {
	var n node
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		panic(err)
	}
	srv, err := server.NewServer(&server.Options{
		ServerName: n.Name, Host: "127.0.0.1", Port: n.Port, JetStream: true, StoreDir: n.Dir, NoSigs: true, NoLog: true,
		Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: n.Cluster},
		Routes:  server.RoutesFromStr(strings.Join(n.Routes, ",")),
	})
	if err != nil {
		panic(err)
	}
	go func() { // whatever becomes of the test, its servers end with it
		var b [1]byte
		os.Stdin.Read(b[:])
		os.Exit(1)
	}()
	srv.Start()
	srv.WaitForShutdown()
}

func (n *node) start(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	n.cmd = exec.Command(os.Args[0])
	n.cmd.Env = append(os.Environ(), "REPLICAS_NATS="+string(text))
	n.cmd.Stderr = os.Stderr
	leash, err := n.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { leash.Close() })
}

func (n *node) kill() {
	n.cmd.Process.Kill()
	n.cmd.Wait()
}

func (n *node) url() string { return (&url.URL{Scheme: "nats", Host: addr(n.Port)}).String() }

func addr(port int) string {
	return (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String()
}

// cluster starts three servers.
func cluster(t *testing.T) (nodes []*node, urls string) {
	t.Helper()
	ports := freePorts(t, 6)
	var routes, all []string
	for _, port := range ports[3:] {
		routes = append(routes, "nats://"+addr(port))
	}
	for i := range 3 {
		n := &node{Name: []string{"one", "two", "three"}[i], Port: ports[i], Cluster: ports[3+i], Routes: routes, Dir: t.TempDir()}
		n.start(t)
		t.Cleanup(n.kill)
		nodes = append(nodes, n)
		all = append(all, n.url())
	}
	return nodes, strings.Join(all, ",")
}

// freePorts returns ports that nobody listened on a moment ago: the servers of a
// cluster have to know each other's before they start.
func freePorts(t *testing.T, count int) (ports []int) {
	t.Helper()
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
