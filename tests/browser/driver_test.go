// Package browser tests the client in a browser, and in Node, against servers
// that behave as they are told to, in real time.
package browser

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/tests/browser/internal/orders"
)

type (
	order  = orders.Order
	config = orders.Config
)

type answer struct {
	Value json.RawMessage
	Err   string
	Is    []string
}

func (a answer) is(sentinel string) bool { return slices.Contains(a.Is, sentinel) }

// page is a program in a browser that does as it is told.
type page struct {
	srv    *httptest.Server
	orders chan []byte
	over   chan struct{}

	mu      sync.Mutex
	last    int
	answers map[string]chan answer
	log     bytes.Buffer // of the browser
}

//go:embed page.html
var html []byte

//go:embed driver.js
var script []byte

// build makes the page's program.
var build = sync.OnceValues(func() (wasm []byte, err error) {
	dir, err := os.MkdirTemp("", "wsnotify")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "page.wasm")
	cmd := exec.Command("go", "build", "-o", file, "./page")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the page: %v\n%s", err, out)
	}
	return os.ReadFile(file)
})

// glueFile is the JavaScript that Go has for its programs.
func glueFile(t *testing.T) string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js")
}

// open starts a browser by the command that start makes for the address of the
// page, and ends it with the test.
func open(t *testing.T, start func(ctx context.Context, url, dir string) *exec.Cmd) *page {
	wasm, err := build()
	if err != nil {
		t.Fatal(err)
	}
	glue := glueFile(t)
	p := &page{orders: make(chan []byte), over: make(chan struct{}), answers: map[string]chan answer{}}
	mux := http.NewServeMux()
	static := func(path, typ string, content []byte) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", typ)
			w.Write(content)
		})
	}
	static("/{$}", "text/html", html)
	static("/driver.js", "text/javascript", script)
	static("/page.wasm", "application/wasm", wasm)
	mux.HandleFunc("GET /wasm_exec.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, glue)
	})
	mux.HandleFunc("GET /order", func(w http.ResponseWriter, r *http.Request) {
		select {
		case o := <-p.orders:
			w.Write(o)
		case <-p.over:
			io.WriteString(w, "null")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("POST /answer/{id}", func(_ http.ResponseWriter, r *http.Request) {
		var a answer
		json.NewDecoder(r.Body).Decode(&a)
		p.mu.Lock()
		ch := p.answers[r.PathValue("id")]
		p.mu.Unlock()
		ch <- a
	})
	p.srv = httptest.NewServer(mux)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := start(ctx, p.srv.URL, t.TempDir())
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(p.over)
		cancel()
		cmd.Wait()
		p.srv.CloseClientConnections()
		p.srv.Close()
		if t.Failed() {
			said := slices.DeleteFunc(strings.Split(p.log.String(), "\n"), func(line string) bool { return strings.Contains(line, "dbus/") })
			t.Logf("the browser said:\n%s", strings.Join(said, "\n"))
		}
	})
	return p
}

// ask gives an order and returns where its answer will come.
func (p *page) ask(t *testing.T, what map[string]any) <-chan answer {
	t.Helper()
	ch := make(chan answer, 1)
	p.mu.Lock()
	p.last++
	id := fmt.Sprint(p.last)
	p.answers[id] = ch
	p.mu.Unlock()
	what["id"] = id
	text, err := json.Marshal(what)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case p.orders <- text:
	case <-time.After(20 * time.Second):
		t.Fatal("the page takes no order")
	}
	return ch
}

func (p *page) wait(t *testing.T, ch <-chan answer) answer {
	t.Helper()
	select {
	case a := <-ch:
		return a
	case <-time.After(20 * time.Second):
		t.Fatal("the page does not answer")
		return answer{}
	}
}

// eval runs JavaScript in the page.
func eval[T any](t *testing.T, p *page, script string) (v T) {
	t.Helper()
	a := p.wait(t, p.ask(t, map[string]any{"script": script}))
	if a.Err != "" {
		t.Fatal(a.Err)
	}
	if err := json.Unmarshal(a.Value, &v); err != nil && len(a.Value) > 0 {
		t.Fatal(err)
	}
	return v
}

// client is one in the page.
type client struct {
	*testing.T
	p  *page
	id int
}

func (p *page) client(t *testing.T, cfg config) *client {
	t.Helper()
	a := p.wait(t, p.ask(t, map[string]any{"order": order{Do: "new", Config: cfg}}))
	c := &client{T: t, p: p}
	json.Unmarshal(a.Value, &c.id)
	t.Cleanup(func() { c.do(order{Do: "disconnect"}) })
	return c
}

// begin does not wait for the answer.
func (c *client) begin(o order) <-chan answer {
	c.Helper()
	o.Client = c.id
	return c.p.ask(c.T, map[string]any{"order": o})
}

func (c *client) do(o order) answer {
	c.Helper()
	return c.p.wait(c.T, c.begin(o))
}

// must fails the test on an error.
func (c *client) must(o order) answer {
	c.Helper()
	a := c.do(o)
	if a.Err != "" {
		c.Fatalf("%s: %s", o.Do, a.Err)
	}
	return a
}

func (c *client) journal() (lines []string) {
	c.Helper()
	json.Unmarshal(c.must(order{Do: "journal"}).Value, &lines)
	return lines
}

func (c *client) status() (s wsnotify.Status) {
	c.Helper()
	a := c.must(order{Do: "status"})
	var v struct {
		Epoch, MessagesIn, MessagesOut, Reconnects uint64
		Queued                                     int
		LastReceived                               time.Time
		ReadyState, RTT                            string
	}
	if err := json.Unmarshal(a.Value, &v); err != nil {
		c.Fatal(err)
	}
	s = wsnotify.Status{
		Epoch: v.Epoch, MessagesIn: v.MessagesIn, MessagesOut: v.MessagesOut, Reconnects: v.Reconnects, Queued: v.Queued, LastReceived: v.LastReceived,
	}
	for s.ReadyState.String() != v.ReadyState && s.ReadyState < wsnotify.Closed {
		s.ReadyState++
	}
	s.RTT, _ = time.ParseDuration(v.RTT)
	return s
}

// expect waits until the journal since the last call is what it should be.
func (c *client) expect(want ...string) {
	c.Helper()
	var got []string
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline) && len(got) < len(want); time.Sleep(5 * time.Millisecond) {
		got = append(got, c.journal()...)
	}
	if !slices.EqualFunc(got, want, func(got, want string) bool {
		prefix, open := strings.CutSuffix(want, "…")
		return got == want || open && strings.HasPrefix(got, prefix)
	}) {
		c.Errorf("the journal says\n\t%s\nand not\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}
