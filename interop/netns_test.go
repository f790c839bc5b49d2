//go:build linux

package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// netns is another host: a network namespace behind a link of its own.
type netns struct {
	name string
	veth string // our end of the link
	addr string // the other end's
}

var lastNetns atomic.Int32

// newNetns makes one, or skips the test where that may not be done: a right
// can't be installed, so that this is no failure in CI either.
func newNetns(t testing.TB) *netns {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	need(t, "ip", "apt-get install iproute2")
	need(t, "nft", "apt-get install nftables")
	number := int(lastNetns.Add(1))
	block := (os.Getpid()*8 + number) % 16384 // of four addresses each
	ours := fmt.Sprintf("10.213.%d.%d", block/64, block%64*4+1)
	n := &netns{
		name: fmt.Sprintf("wsn%d-%d", os.Getpid(), number),
		veth: fmt.Sprintf("wsn%d-%d", os.Getpid()%1e6, number),
		addr: fmt.Sprintf("10.213.%d.%d", block/64, block%64*4+2),
	}
	if out, err := exec.Command("ip", "netns", "add", n.name).CombinedOutput(); err != nil {
		t.Skipf("no network namespace may be made here: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", n.name).Run() })
	for _, probe := range []string{
		"ip link add " + n.veth + " type veth peer name eth0 netns " + n.name,
		"ip netns exec " + n.name + " nft list ruleset",
	} {
		command := strings.Fields(probe)
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("no network may be made or filtered here: %s: %v: %s", probe, err, out)
		}
	}
	n.run(t, "ip", "addr", "add", ours+"/30", "dev", n.veth)
	n.run(t, "ip", "link", "set", n.veth, "up")
	n.run(t, "ip", "-n", n.name, "addr", "add", n.addr+"/30", "dev", "eth0")
	n.run(t, "ip", "-n", n.name, "link", "set", "lo", "up")
	n.run(t, "ip", "-n", n.name, "link", "set", "eth0", "up")
	return n
}

func (n *netns) run(t testing.TB, words ...string) {
	t.Helper()
	if err := command(words...); err != nil {
		t.Fatal(err)
	}
}

func command(words ...string) error {
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

// serve starts a server on that host.
func (n *netns) serve(t testing.TB) *server {
	t.Helper()
	s := &server{t: t, kind: "gorilla", netns: n.name, options: options{Host: n.addr, Port: 8080}}
	s.start()
	return s
}

// drop makes the host drop every packet that comes or goes, without a word.
func (n *netns) drop(t testing.TB, hooks ...string) {
	t.Helper()
	rules := "add table inet dead\n"
	for _, hook := range hooks {
		rules += fmt.Sprintf("add chain inet dead %s { type filter hook %s priority 0; policy drop; }\n", hook, hook)
	}
	cmd := exec.Command("ip", "netns", "exec", n.name, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}

func (n *netns) restore(t testing.TB) {
	t.Helper()
	n.run(t, "ip", "netns", "exec", n.name, "nft", "delete", "table", "inet", "dead")
}

// With the defaults a dead link is noticed within 13 s, however it died and
// whatever was under way, and the client is back when the link is.
func TestDeadLink(t *testing.T) {
	t.Parallel()
	restore := func(t testing.TB, n *netns) { n.restore(t) }
	for name, test := range map[string]struct {
		die, live func(testing.TB, *netns)
		after     time.Duration // of an idle connection
		sending   bool
	}{
		"every packet dropped": {
			die:  func(t testing.TB, n *netns) { n.drop(t, "input", "output") },
			live: restore,
		},
		"every packet dropped, just before a beat": {
			die:   func(t testing.TB, n *netns) { n.drop(t, "input", "output") },
			live:  restore,
			after: 5900 * time.Millisecond,
		},
		"every packet dropped, just after a beat": {
			die:   func(t testing.TB, n *netns) { n.drop(t, "input", "output") },
			live:  restore,
			after: 6100 * time.Millisecond,
		},
		"every packet dropped, while messages flow": {
			die:     func(t testing.TB, n *netns) { n.drop(t, "input", "output") },
			live:    restore,
			sending: true,
		},
		"packets to the server dropped": {
			die:  func(t testing.TB, n *netns) { n.drop(t, "input") },
			live: restore,
		},
		"packets from the server dropped": {
			die:  func(t testing.TB, n *netns) { n.drop(t, "output") },
			live: restore,
		},
		"the server's interface down": {
			die:  func(t testing.TB, n *netns) { n.run(t, "ip", "-n", n.name, "link", "set", "eth0", "down") },
			live: func(t testing.TB, n *netns) { n.run(t, "ip", "-n", n.name, "link", "set", "eth0", "up") },
		},
		"the client's interface down": {
			die:  func(t testing.TB, n *netns) { n.run(t, "ip", "link", "set", n.veth, "down") },
			live: func(t testing.TB, n *netns) { n.run(t, "ip", "link", "set", n.veth, "up") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newNetns(t)
			s := n.serve(t)
			c := newClient(t, wsnotify.Config{}) // the defaults
			c.connect(s.url())
			c.opened(1)
			c.say(`{"msgType":"a","content":"b"}`)
			c.notification(0)
			time.Sleep(test.after) // what is measured is what real time does
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if test.sending {
				go func() {
					for ctx.Err() == nil && c.SendMessage(ctx, "unanswered") == nil {
						time.Sleep(10 * time.Millisecond)
					}
				}()
			}
			test.die(t, n)
			died := time.Now()
			c.wantNoticed(died)
			cancel()
			c.enqueue(0, 10)
			test.live(t, n)
			back := time.Now()
			c.opened(2)
			t.Logf("open again %v after the link was back", time.Since(back).Round(time.Millisecond))
			s.await(t, 0, waitLimit, "what was queued", func(l line) bool { return l.Text == numbered(9) })
			if got := s.numbered(); len(got) != 10 {
				t.Errorf("of 10 messages %d came: %v", len(got), got)
			}
		})
	}
}
