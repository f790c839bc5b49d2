package browser

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// The page of examples/browser opens its WebSocket under its Content-Security-Policy, over http and https, and
// nothing of it is refused.
func TestExamplePage(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("chromium is not installed: nothing of a browser is tested; apt-get install chromium")
	}
	program := filepath.Join(t.TempDir(), "example")
	if out, err := exec.Command("go", "build", "-C", "../..", "-o", program, "./examples/browser").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, https := range []bool{false, true} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		args := []string{"-listen", "127.0.0.1:0"}
		if https {
			made, _ := testkit.CertificateOfNow(t, "127.0.0.1")
			cert, key := testkit.CertificateFiles(t, made)
			args = append(args, "-cert", cert, "-key", key)
		}
		server := exec.CommandContext(ctx, program, args...)
		server.Dir = "../.."
		out, err := server.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		url := strings.Fields(line)[1]
		if strings.HasPrefix(url, "https:") != https {
			t.Error(line)
		}
		browser := exec.CommandContext(ctx, chromium,
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
			"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
			"--ignore-certificate-errors", "--user-data-dir="+t.TempDir(), "--remote-debugging-port=0", url)
		stderr, err := browser.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := browser.Start(); err != nil {
			t.Fatal(err)
		}
		dom, entries := look(ctx, t, bufio.NewReader(stderr))
		for _, want := range []string{`class="OPEN"`, "Welcome, ada."} {
			if !strings.Contains(dom, want) {
				t.Errorf("%s: %s is not in\n%s", url, want, dom)
			}
		}
		for _, entry := range entries {
			t.Errorf("%s: the browser says %s", url, entry)
		}
		_ = browser.Process.Kill()
		_ = browser.Wait()
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	}
}

// look waits until the page of a browser has opened its WebSocket, and returns what it then consists of, and what
// the browser has logged of it. It talks to DevTools.
func look(ctx context.Context, t *testing.T, stderr *bufio.Reader) (dom string, entries []string) {
	t.Helper()
	tools := ""
	for tools == "" {
		line, err := stderr.ReadString('\n')
		if err != nil {
			t.Fatalf("the browser has ended: %v", err)
		}
		if at, ok := strings.CutPrefix(line, "DevTools listening on ws://"); ok {
			tools, _, _ = strings.Cut(at, "/")
		}
	}
	go io.Copy(io.Discard, stderr)
	target := ""
	for target == "" && ctx.Err() == nil {
		resp, err := http.Get("http://" + tools + "/json/list")
		if err != nil {
			t.Fatal(err)
		}
		var pages []struct{ Type, WebSocketDebuggerURL string }
		err = json.NewDecoder(resp.Body).Decode(&pages)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range pages {
			if p.Type == "page" {
				target = p.WebSocketDebuggerURL
			}
		}
	}
	var mu sync.Mutex
	c := wsnotify.New(wsnotify.Config{
		ReadLimit: 16 << 20,
		Heartbeat: wsnotify.Heartbeat{Interval: -1},
		OnMessage: func(m wsnotify.Message) {
			var event struct {
				Method string
				Params json.RawMessage
			}
			if json.Unmarshal(m.Data, &event) == nil && (event.Method == "Log.entryAdded" || event.Method == "Runtime.exceptionThrown") {
				mu.Lock()
				defer mu.Unlock()
				entries = append(entries, string(event.Params))
			}
		},
	})
	if err := c.Connect(ctx, target, ""); err != nil {
		t.Fatal(err)
	}
	defer func() { c.Disconnect(); <-c.Done() }()
	number := 0
	call := func(method, params string) string {
		number++
		answer, err := c.Request(ctx, strconv.Itoa(number), wsnotify.MessageText, fmt.Appendf(nil, `{"id":%d,"method":%q,"params":%s}`, number, method, params))
		if err != nil {
			t.Fatal(err)
		}
		return string(answer.Data)
	}
	call("Log.enable", "{}")
	call("Runtime.enable", "{}")
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		var answer struct {
			Result struct{ Result struct{ Value string } }
		}
		if err := json.Unmarshal([]byte(call("Runtime.evaluate", `{"expression":"document.documentElement.outerHTML"}`)), &answer); err != nil {
			t.Fatal(err)
		}
		if dom = answer.Result.Result.Value; strings.Contains(dom, "Welcome") {
			break
		}
	}
	mu.Lock()
	defer mu.Unlock()
	return dom, slices.Clone(entries)
}
