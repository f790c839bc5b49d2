//go:build linux

package interop

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// shape makes both ends of the link to n slow, or skips the test where the
// kernel can't do that.
func (n *netns) shape(t testing.TB, bytesPerSecond int) {
	t.Helper()
	need(t, "tc", "apt-get install iproute2")
	for _, in := range [][]string{{"tc"}, {"ip", "netns", "exec", n.name, "tc"}} {
		dev := n.veth
		if len(in) > 1 {
			dev = "eth0"
		}
		rule := fmt.Sprintf("qdisc add dev %s root tbf rate %dbit burst 4kb latency 2s", dev, 8*bytesPerSecond)
		if err := command(append(in, strings.Fields(rule)...)...); err != nil {
			t.Skipf("no link may be made slow here: %v", err)
		}
	}
}

// An upload that takes two minutes (one with -short), of which the kernel holds a
// good part, goes through over one connection, heartbeats and all.
func TestSlowUploadOnARealLink(t *testing.T) {
	t.Parallel()
	size := 8 << 20
	if testing.Short() {
		size /= 2
	}
	n := newNetns(t)
	s := n.serve(t)
	c := newClient(t, wsnotify.Config{}) // the defaults
	c.connect(s.url())
	c.opened(1)
	n.shape(t, 64<<10)
	start := time.Now()
	if err := c.SendMessage(context.Background(), "upload "+strings.Repeat("x", size)); err != nil {
		t.Fatalf("after %v: %v", time.Since(start), err)
	}
	t.Logf("the socket had taken %d bytes after %v", size, time.Since(start).Round(time.Second))
	s.await(t, 0, 3*time.Minute, "the upload", func(l line) bool { return strings.HasPrefix(l.Text, "upload x") })
	t.Logf("it had arrived after %v", time.Since(start).Round(time.Second))
	if st := c.Status(); st.Epoch != 1 || st.ReadyState != wsnotify.Open {
		t.Errorf("%+v", st)
	}
}

// A link that dies in the middle of an upload is noticed as soon as an idle one.
func TestLinkThatDiesInAnUpload(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1 << 20, 32 << 20} { // which the kernel takes whole, or not
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			n := newNetns(t)
			s := n.serve(t)
			c := newClient(t, wsnotify.Config{})
			c.connect(s.url())
			c.opened(1)
			n.shape(t, 32<<10)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go c.SendMessage(ctx, strings.Repeat("x", size))
			time.Sleep(15 * time.Second) // what is measured is what real time does
			if st := c.Status(); st.Epoch != 1 || st.ReadyState != wsnotify.Open {
				t.Fatalf("before the link died: %+v", st)
			}
			n.drop(t, "input", "output")
			died := time.Now()
			e := c.closed(1)
			wantLost(t, e)
			noticed := time.Since(died)
			t.Logf("noticed after %v: %v", noticed.Round(time.Millisecond), e.Failure.Err)
			if noticed > 13*time.Second {
				t.Errorf("noticed after %v: %v", noticed, e.Failure.Err)
			}
			cancel()
			n.restore(t)
		})
	}
}

// A line of 2 KB/s on which bytes move all the time is no dead line, either
// way, though a TLS record takes longer than the heartbeat waits.
func TestLineThatIsSlowerThanARecord(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "ws", true: "wss"}[secure], func(t *testing.T) {
			t.Parallel()
			n := newNetns(t)
			s := &server{t: t, kind: "gorilla", netns: n.name, options: options{Host: n.addr, Port: 8080}}
			var cfg wsnotify.Config
			if secure {
				cert, key, trust := certificate(t)
				s.Cert, s.Key = cert, key
				trust.ServerName = "127.0.0.1" // which the certificate is for
				cfg.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
			}
			s.start()
			c := newClient(t, cfg)
			c.connect(s.url())
			c.opened(1)
			n.shape(t, 2000)
			start := time.Now()
			if err := c.SendMessage(context.Background(), `say {"msgType":"large","content":"`+strings.Repeat("x", 40_000)+`"}`); err != nil {
				t.Fatal(err)
			}
			c.until("the answer", 2*time.Minute, func() bool { return len(c.notifications) > 0 })
			t.Logf("40 KB went and came back in %v", time.Since(start).Round(time.Second))
			if st := c.Status(); st.Epoch != 1 || st.ReadyState != wsnotify.Open {
				t.Errorf("%+v", st)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(c.errors) > 0 {
				t.Errorf("%v", c.errors)
			}
		})
	}
}
