package wsnotify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// The Go code of docs/from-the-browser-store.md stands here between lines of
// dashes, and is run. Its JavaScript is run by Node, with testdata/store.

const storePage = "docs/from-the-browser-store.md"

// --- begin
func storeConfig(notify func(title, text string)) wsnotify.Config {
	return wsnotify.Config{
		OnOpen: func(wsnotify.OpenEvent) {
			log.Println("connected") // attempts are 0 again, and the first ping comes in 6 s
		},
		OnNotification: func(n wsnotify.Notification) {
			notify(n.MsgType, n.Content) // the standard text if one of them is missing
		},
		OnClose: func(e wsnotify.CloseEvent) {
			log.Println("closed:", e.Code, e.Reason) // and the ping has stopped
		},
		OnReconnecting: func(e wsnotify.ReconnectEvent) {
			log.Printf("attempt %d in %v", e.Attempt, e.Delay)
		},
		OnGiveUp: func(*wsnotify.GiveUpError) {
			log.Println("Max reconnect attempts reached")
		},
		OnError: func(err error) {
			log.Println(err) // a failed attempt, or a message that is not JSON
		},
	}
}

// --- end

// --- begin
func useStore(ctx context.Context, client *wsnotify.Client, url string) error {
	if err := client.Connect(ctx, url, "ada"); err != nil {
		return err
	}
	if err := client.SendMessage(ctx, "hello"); err != nil {
		log.Println(err) // such as "wsnotify: WebSocket is not connected"
	}
	return client.Disconnect()
}

// --- end

// --- begin
type mail struct{ From, Subject string }

func onMail(client *wsnotify.Client, show func(from, subject string)) (off func()) {
	return wsnotify.On(client, "mail", func(m mail) { show(m.From, m.Subject) })
}

// --- end

// --- begin
func serviceConfig(token func(context.Context) (string, error)) wsnotify.Config {
	return wsnotify.Config{
		BackOff:         wsnotify.Exponential(500*time.Millisecond, 10*time.Second, -1), // no limit, random waits
		ShouldReconnect: wsnotify.FailFast,                                              // but not against a 403
		BeforeDial: func(ctx context.Context, req *wsnotify.DialRequest) error {
			fresh, err := token(ctx)
			if err != nil {
				return err // the attempt has failed, and the next one asks again
			}
			req.Header.Set("Authorization", "Bearer "+fresh)
			return nil
		},
	}
}

// --- end

func TestStorePageCode(t *testing.T) {
	compareCode(t, fences(t, storePage, "go"), sourceBlocks(t, "example_store_test.go"))
}

// A storeScript is what a program does with a store, and what its server does
// meanwhile. The names of the steps are those of testdata/store/run.js.
type storeScript struct {
	Name  string      `json:"-"`
	Steps []storeStep `json:"steps"`
	Until int         `json:"until"` // seconds
}

type storeStep struct {
	At   int    `json:"at"` // seconds
	Does string `json:"does"`
}

var storeScripts = []storeScript{
	{"the server restarts, and is away from 15 to 40", []storeStep{{0, "connect"}, {15, "stop"}, {40, "start"}}, 60},
	{"it does not come back", []storeStep{{0, "connect"}, {1, "stop"}}, 120},
	{"it was never there", []storeStep{{0, "stop"}, {0, "connect"}}, 120},
	{"`sendMessage` while it is away", []storeStep{{0, "connect"}, {1, "stop"}, {2, "send"}}, 5},
	{"`disconnect` at 1", []storeStep{{0, "connect"}, {1, "disconnect"}}, 20},
	{"the connection is lost at 1, and `disconnect` is called at 5", []storeStep{{0, "connect"}, {1, "drop"}, {5, "disconnect"}}, 20},
	{"`connect` at 0 and again at 5", []storeStep{{0, "connect"}, {5, "connect"}}, 50},
	{"the link is half-open from 1 on", []storeStep{{0, "connect"}, {1, "halfOpen"}}, 30},
}

// A playResult is what came of a script.
type playResult struct {
	Dials, Pings []float64
	Said         []string
	Connected    bool
}

// String is a cell of the page's table.
func (o playResult) String() string {
	parts := []string{"dials " + seconds(o.Dials), "pings " + seconds(o.Pings)}
	for _, s := range o.Said {
		parts = append(parts, "“"+s+"”")
	}
	if o.Connected {
		return strings.Join(append(parts, "connected"), "; ")
	}
	return strings.Join(append(parts, "not connected"), "; ")
}

func seconds(times []float64) string {
	if len(times) == 0 {
		return "–"
	}
	var b strings.Builder
	for i, s := range times {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%g", s)
	}
	return b.String()
}

// playInGo runs a script with the page's Config.
func playInGo(t *testing.T, s storeScript) (o playResult) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		start := time.Now()
		since := func() float64 { return time.Since(start).Seconds() }
		var pings []float64 // of the server's goroutine, until it has ended
		srv.OnMessage(func(_ *wsnotifytest.Conn, _ byte, data []byte) {
			if string(data) == "ping" {
				pings = append(pings, since())
			}
		})

		cfg := storeConfig(func(title, text string) {})
		cfg.HTTPClient = net.HTTPClient()
		var dials []float64
		cfg.BeforeDial = func(context.Context, *wsnotify.DialRequest) error {
			dials = append(dials, since())
			return nil
		}
		logged := captureLog(t)
		client := wsnotify.New(cfg)
		var said []string
		for _, do := range s.Steps {
			time.Sleep(time.Duration(do.At)*time.Second - time.Since(start))
			switch do.Does {
			case "connect":
				go client.Connect(t.Context(), srv.URL(), "ada")
			case "disconnect":
				client.Disconnect()
			case "send":
				said = append(said, strings.TrimPrefix(client.SendMessage(t.Context(), "hello").Error(), "wsnotify: "))
			case "stop":
				srv.Stop()
			case "start":
				srv.Start()
			case "drop", "halfOpen":
				conn, err := srv.Conn(t.Context(), "ada")
				if err != nil {
					t.Fatal(err)
				}
				if do.Does == "drop" {
					conn.Drop()
				} else {
					conn.BlackHole(true)
				}
			}
			synctest.Wait()
		}
		time.Sleep(time.Duration(s.Until)*time.Second - time.Since(start))
		synctest.Wait()
		o = playResult{Dials: slices.Clone(dials), Pings: slices.Clone(pings), Said: said, Connected: client.IsConnected()}
		if line := "Max reconnect attempts reached"; strings.Contains(logged.String(), line) {
			o.Said = append(o.Said, line)
		}
		client.Disconnect()
		<-client.Done()
	})
	return o
}

// captureLog lets the standard logger write into memory for the time of a test.
func captureLog(t *testing.T) *bytes.Buffer {
	var b bytes.Buffer
	before := log.Writer()
	log.SetOutput(&b)
	t.Cleanup(func() { log.SetOutput(before) })
	return &b
}

// showInGo says what the page's Config makes of one message.
func showInGo(t *testing.T, message string) (shown string) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		captureLog(t)
		shown = "nothing: it answers the `ping`"
		cfg := storeConfig(func(title, text string) { shown = title + ": " + text })
		onError := cfg.OnError
		cfg.OnError = func(err error) { onError(err); shown = "`OnError`" }
		cfg.HTTPClient = net.HTTPClient()
		client := wsnotify.New(cfg)
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		srv.SendText("ada", message)
		synctest.Wait()
		if !client.IsConnected() {
			t.Errorf("the connection is not up after %q", message)
		}
		client.Disconnect()
		<-client.Done()
	})
	return shown
}

// inJavaScript runs the page's store. It is nil where Node is not installed.
func inJavaScript(t *testing.T, messages []string) (got struct {
	Scripts  []playResult
	Messages []string
}, ok bool) {
	node, err := exec.LookPath("node")
	if err != nil {
		return got, false
	}
	in, err := json.Marshal(map[string]any{"code": fences(t, storePage, "js")[0], "scripts": storeScripts, "messages": messages})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "testdata/store/run.js")
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	return got, true
}

// Both tables say what the page's code does, here and in the store.
func TestStorePageTables(t *testing.T) {
	page, err := os.ReadFile(storePage)
	if err != nil {
		t.Fatal(err)
	}
	var messages []string
	shown := tableOf(t, string(page), "messages")
	for _, row := range shown {
		messages = append(messages, strings.Trim(row[0], "`"))
	}
	js, haveNode := inJavaScript(t, messages)
	if !haveNode {
		t.Log("the store's column is not compared: node is not installed")
	}
	const fallback = "您有新的通知: 您有新的通知，请前往消息列表查看"
	cell := func(s string) string { return strings.ReplaceAll(s, fallback, "the fallback") }

	for i, row := range shown {
		if got := cell(showInGo(t, messages[i])); got != row[2] {
			t.Errorf("%s gives %q here, and the page says %q", row[0], got, row[2])
		}
		if haveNode && cell(js.Messages[i]) != row[1] {
			t.Errorf("%s gives %q in the store, and the page says %q", row[0], js.Messages[i], row[1])
		}
	}

	var want [][]string
	written := tableOf(t, string(page), "scripts")
	for i, s := range storeScripts {
		row := []string{s.Name, "", playInGo(t, s).String()}
		if haveNode {
			row[1] = js.Scripts[i].String()
		} else if i < len(written) {
			row[1] = written[i][1]
		}
		want = append(want, row)
	}
	if !slices.EqualFunc(written, want, slices.Equal) {
		var b strings.Builder
		for _, row := range want {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		}
		t.Errorf("what the page should say:\n%s", b.String())
	}
}

// tableOf returns the cells of the rows between two comments of a page.
func tableOf(t *testing.T, page, name string) (rows [][]string) {
	_, rest, ok := strings.Cut(page, "<!-- "+name+" -->\n")
	body, _, ended := strings.Cut(rest, "<!-- end -->")
	if !ok || !ended {
		t.Fatalf("the page has no table %q", name)
	}
	for line := range strings.Lines(body) {
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "| "), " |"), " | "))
		}
	}
	return rows[min(2, len(rows)):]
}

func TestStorePageUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		captureLog(t)
		cfg := storeConfig(func(string, string) {})
		cfg.HTTPClient = net.HTTPClient()
		client := wsnotify.New(cfg)
		if err := useStore(t.Context(), client, srv.URL()); err != nil {
			t.Fatal(err)
		}
		<-client.Done()
		if got, err := srv.WaitMessages(t.Context(), "ada", 1); err != nil || !slices.Equal(got, []string{"hello"}) {
			t.Errorf("the server has %q, %v", got, err)
		}
	})
}

func TestStorePageMailAndTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		tokens := 0
		cfg := serviceConfig(func(context.Context) (string, error) {
			tokens++
			return fmt.Sprint("t", tokens), nil
		})
		cfg.HTTPClient = net.HTTPClient()
		client := wsnotify.New(cfg)
		var got string
		off := onMail(client, func(from, subject string) { got += from + " wrote: " + subject })
		defer off()
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		srv.SendText("ada", `{"msgType":"mail","content":{"from":"Charles","subject":"The engine"}}`)
		synctest.Wait()
		if got != "Charles wrote: The engine" {
			t.Errorf("shown was %q", got)
		}
		conn, err := srv.Conn(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		conn.Drop()
		if conn, err = srv.NthConn(t.Context(), 2); err != nil {
			t.Fatal(err)
		}
		if got := conn.Request().Header.Get("Authorization"); got != "Bearer t2" {
			t.Errorf("the second handshake came with %q", got)
		}
		client.Disconnect()
		<-client.Done()
	})
}
