package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// recordedClient is the client of a recording: it answers, asks and reconnects.
func recordedClient(s *wsnotifytest.Server, cfg wsnotify.Config) *wsnotify.Client {
	var c *wsnotify.Client
	cfg.HTTPClient = s.HTTPClient()
	cfg.Heartbeat.Timeout = 5 * time.Second // no beat is due at the very time at which the connection is given up
	cfg.BackOff = func() wsnotify.BackOff { return backoff.NewConstantBackOff(3 * time.Second) }
	cfg.OnMessage = func(m wsnotify.Message) {
		if m.Type == wsnotify.MessageText && strings.HasPrefix(string(m.Data), "ask ") {
			_ = c.Enqueue(wsnotify.MessageText, append([]byte("answer "), m.Data[4:]...))
		}
	}
	cfg.OnOpen = func(ev wsnotify.OpenEvent) {
		_ = c.Enqueue(wsnotify.MessageText, fmt.Appendf(nil, "hello %d", ev.Epoch))
	}
	c = wsnotify.New(cfg)
	return c
}

// recordSession makes a recording of a session with refusals, both directions, a restart, a dead link and an end.
func recordSession(t *testing.T, cfg wsnotify.Config) *wsnotifytest.Recording {
	t.Helper()
	var file bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s := wsnotifytest.NewNetwork(t).NewServer()
		s.AnswerText("pong")
		s.Subprotocols("v2.notify")
		cfg.Record = &file
		c := recordedClient(s, cfg)
		wait := s.Script(t.Context(),
			wsnotifytest.RefuseWith(503),
			wsnotifytest.Accept(), wsnotifytest.Expect("hello 1"), wsnotifytest.Wait(1500*time.Millisecond),
			wsnotifytest.Say("ask one"), wsnotifytest.Expect("answer one"), wsnotifytest.SayBinary([]byte{1, 2, 255}),
			wsnotifytest.Wait(20*time.Second), wsnotifytest.CloseConn(1012, "restart"),
			wsnotifytest.RefuseWith(500), wsnotifytest.RefuseWith(502),
			wsnotifytest.Accept(), wsnotifytest.Expect("hello 2"), wsnotifytest.DropConn(),
			wsnotifytest.Accept(), wsnotifytest.Expect("hello 3"), wsnotifytest.Wait(14*time.Second), wsnotifytest.BlackHoleConn(),
			wsnotifytest.Accept(), wsnotifytest.Expect("hello 4"), wsnotifytest.Say("ask two"), wsnotifytest.Expect("answer two"),
		)
		if err := c.Connect(t.Context(), s.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		if err := wait(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7 * time.Second)
		if err := c.Disconnect(); err != nil {
			t.Error(err)
		}
		<-c.Done()
	})
	rec, err := wsnotifytest.ReadRecording(&file)
	if err != nil {
		t.Fatal(err)
	}
	return rec
}

// story is a recording without what is sent by the clock.
func story(rec *wsnotifytest.Recording) (lines []string) {
	for _, e := range rec.Events {
		if e.Text == "ping" || e.Text == "pong" {
			continue
		}
		lines = append(lines, fmt.Sprintf("%v %d %s %s", e.T.Round(time.Millisecond), e.Conn, e.Dir, e.String()))
	}
	return lines
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
}

// A recording has everything that a server needs to do it again.
func TestRecordingOfASession(t *testing.T) {
	rec := recordSession(t, wsnotify.Config{Subprotocols: []string{"v2.notify"}})
	compare(t, story(rec), []string{
		`0s 1 in a handshake that is refused with 503`,
		`3s 1 out a connection`,
		`3s 1 out text "hello 1"`,
		`4.5s 1 in text "ask one"`,
		`4.5s 1 out text "answer one"`,
		`4.5s 1 in binary "\x01\x02\xff"`,
		`24.5s 1 in close 1012 "restart"`,
		`24.5s 1 out close 1012 "restart"`,
		`27.5s 2 in a handshake that is refused with 500`,
		`30.5s 2 in a handshake that is refused with 502`,
		`33.5s 2 out a connection`,
		`33.5s 2 out text "hello 2"`,
		`33.5s 2 in the end of the connection without a close frame`,
		`36.5s 3 out a connection`,
		`36.5s 3 out text "hello 3"`,
		`59.5s 3 out the client's end of the connection without a close frame`,
		`1m2.5s 4 out a connection`,
		`1m2.5s 4 out text "hello 4"`,
		`1m2.5s 4 in text "ask two"`,
		`1m2.5s 4 out text "answer two"`,
		`1m9.5s 4 out close 1000`,
		`1m9.5s 4 in close 1000`,
	})
	for _, e := range rec.Events {
		if e.Type == "open" && (e.Subprotocol != "v2.notify" || !strings.HasPrefix(e.URL, "ws://server-1.test/ws/ada")) {
			t.Errorf("%+v", e)
		}
		if e.Type == "close" && e.Code == 1006 && e.Dir == "out" && (e.Silent != 11*time.Second || !strings.Contains(e.Error, "heartbeat")) {
			t.Errorf("silent %v: %s", e.Silent, e.Error)
		}
	}
}

// What was recorded is played, and the same client does the same: the recording of the replay is the first
// recording, to the nanosecond.
func TestReplayOfARecording(t *testing.T) {
	cfg := wsnotify.Config{Subprotocols: []string{"v2.notify"}, RecordPings: true}
	rec := recordSession(t, cfg)
	var again bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		s := wsnotifytest.NewNetwork(t).NewServer()
		s.Replay(rec)
		cfg.Record = &again
		c := recordedClient(s, cfg)
		if err := c.Connect(t.Context(), s.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		last := rec.Events[len(rec.Events)-1].T
		time.Sleep(last - 3*time.Second) // Connect took 3 s
		if err := c.Disconnect(); err != nil {
			t.Error(err)
		}
		<-c.Done()
		if err := s.WaitReplay(t.Context()); err != nil {
			t.Error(err)
		}
	})
	second, err := wsnotifytest.ReadRecording(&again)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, story(second), story(rec))
}

// Nothing of a recording is a secret, unless that is asked for.
func TestRecordingHasNoSecrets(t *testing.T) {
	const secret = "s3cr3t-t0ken-of-ada"
	session := func(cfg wsnotify.Config) string {
		var file bytes.Buffer
		synctest.Test(t, func(t *testing.T) {
			s := wsnotifytest.NewNetwork(t).NewServer()
			s.Subprotocols("v2.notify")
			s.OnHandshake(func(*http.Request) (int, http.Header) {
				return 101, http.Header{"Set-Cookie": {"session=" + secret}, "Server": {"echo " + secret}, "X-Other": {secret}}
			})
			cfg.Record, cfg.HTTPClient = &file, s.HTTPClient()
			cfg.Header = http.Header{"Authorization": {"Bearer " + secret}, "Cookie": {"a=" + secret}, "X-Api-Key": {secret}, "User-Agent": {"agent"}}
			cfg.Subprotocols = []string{"v2.notify", secret}
			c := wsnotify.New(cfg)
			u, _ := url.Parse(s.URL() + "ada")
			u.User, u.RawQuery = url.UserPassword("ada", secret), "token="+secret+"&"+secret
			if err := c.Connect(t.Context(), u.String(), ""); err != nil {
				t.Fatal(err)
			}
			_ = c.SendMessage(t.Context(), "login ada")
			k, _ := s.Conn(t.Context(), "")
			_ = k.Close(4001, "bad token "+secret)
			_, _ = k.WaitCloseCode(t.Context())
			_ = c.Disconnect()
			<-c.Done()
		})
		return file.String()
	}
	text := session(wsnotify.Config{})
	if strings.Contains(text, secret) {
		t.Errorf("it is in\n%s", text)
	}
	for _, want := range []string{`"url":"ws://ada:xxxxx@server-1.test/ws/ada?token=xxxxx&xxxxx"`, `"subprotocol":"v2.notify"`, `"Authorization":["xxxxx"]`,
		`"User-Agent":["agent"]`, `"Server":["echo xxxxx"]`, `"reason":"bad token xxxxx"`, `"text":"login ada"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
	text = session(wsnotify.Config{RecordSecrets: true, RecordMessage: func(m wsnotify.Message) wsnotify.Message {
		m.Data = []byte(strings.Replace(string(m.Data), "ada", "somebody", 1))
		return m
	}})
	for _, want := range []string{`?token=` + secret, `"Authorization":["Bearer ` + secret, `"reason":"bad token ` + secret, `"text":"login somebody"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}

// Each line of a recording, with secrets and without: a refusal, frames of both directions, a message too large to be
// kept, the end for a violation, frames that did not leave, and the end of a client that does not wait.
func TestLinesOfARecording(t *testing.T) {
	const secret = "s3cr3t"
	for _, secrets := range []bool{false, true} {
		var file bytes.Buffer
		inBubble(t, wsnotify.Config{
			Header: http.Header{"Authorization": {secret}}, Record: &file, RecordSecrets: secrets, RecordPings: true,
			CloseTimeout: -1, Heartbeat: wsnotify.Heartbeat{Interval: -1}, ReadLimit: 8 << 20,
			RecordMessage: func(m wsnotify.Message) wsnotify.Message {
				if m.Type == wsnotify.MessageText {
					copy(m.Data, strings.ToUpper(string(m.Data)))
				}
				return m
			},
			OnMessage: func(m wsnotify.Message) {
				if m.Type == wsnotify.MessageText && string(m.Data) != "hello" {
					t.Errorf("what is recorded as %q came to the callbacks", m.Data)
				}
			},
		}, func(w *world) {
			w.net.Buffer(10_000)
			w.srv.AllowViolations()
			w.srv.Refuse(1, 401, nil, "")
			w.srv.OnHandshake(func(*http.Request) (int, http.Header) { return 101, http.Header{"Server": {"echo " + secret}} })
			w.must(w.c.Connect(w.Context(), w.srv.URL()+"ada?token="+secret, ""))
			conn := w.conn()
			_, err := w.c.Ping(w.Context())
			w.must(err)
			w.must(conn.SendText("hello"))
			w.must(conn.SendBinary(make([]byte, 4<<20+1)))
			w.must(conn.Ping("x"))
			w.pass(time.Second)
			w.must(conn.WriteRaw([]byte{0x83, 0}))
			w.pass(10 * time.Second)
			w.conn().StopReading(true)
			w.must(w.c.Enqueue(wsnotify.MessageText, []byte("leaves")))
			for range 3 {
				w.must(w.c.Enqueue(wsnotify.MessageBinary, make([]byte, 60_000)))
			}
			synctest.Wait()
			w.must(w.c.Disconnect())
			<-w.c.Done()
		})
		shown := "xxxxx"
		if secrets {
			shown = secret
		}
		want := strings.ReplaceAll(strings.Join([]string{
			`{"v":1,"t":0,"conn":1,"dir":"in","type":"failure","url":"ws://server-1.test/ws/ada?token=SECRET","status":401,"error":"wsnotify: dialling ws://server-1.test/ws/ada?token=xxxxx: ` +
				`expected 101 Switching Protocols, got 401 Unauthorized: credentials are missing or have expired; BeforeDial can set new ones for each attempt"}`,
			`{"t":10000000000,"conn":1,"dir":"out","type":"open","url":"ws://server-1.test/ws/ada?token=SECRET","headers":{"Authorization":["SECRET"]},` +
				`"responseHeaders":{"Connection":["Upgrade"],"Sec-Websocket-Accept":["…"],"Server":["echo SECRET"],"Upgrade":["websocket"]}}`,
			`{"t":10000000000,"conn":1,"dir":"out","type":"ping","data":"AAAAAAAAAAE="}`,
			`{"t":10000000000,"conn":1,"dir":"in","type":"pong","data":"AAAAAAAAAAE="}`,
			`{"t":10000000000,"conn":1,"dir":"in","type":"text","text":"HELLO"}`,
			`{"t":10000000000,"conn":0,"dir":"","type":"lost","count":1}`,
			`{"t":10000000000,"conn":1,"dir":"in","type":"ping","data":"eA=="}`,
			`{"t":10000000000,"conn":1,"dir":"out","type":"pong","data":"eA=="}`,
			`{"t":11000000000,"conn":1,"dir":"out","type":"close","error":"a frame has the unknown opcode 0x3","code":1002}`,
			`{"t":21000000000,"conn":2,"dir":"out","type":"open","url":"ws://server-1.test/ws/ada?token=SECRET","headers":{"Authorization":["SECRET"]},` +
				`"responseHeaders":{"Connection":["Upgrade"],"Sec-Websocket-Accept":["…"],"Server":["echo SECRET"],"Upgrade":["websocket"]}}`,
			`{"t":21000000000,"conn":2,"dir":"out","type":"text","text":"LEAVES"}`,
			`{"t":22000000000,"conn":2,"dir":"out","type":"close","silent":1000000000,"error":"the client did not wait for the closing handshake any longer","code":1006}`,
		}, "\n"), "SECRET", shown) + "\n"
		if got := regexp.MustCompile(`(Accept":\[")[^"]+`).ReplaceAllString(file.String(), "$1…"); got != want {
			t.Errorf("secrets %v: the recording is\n%s\nand not\n%s", secrets, got[:min(len(got), 5000)], want)
		}
	}
}

// RecordMessage may leave a message out, also by ending its goroutine: neither the reader nor
// the writer stops for that.
func TestRecordMessageLeavesOut(t *testing.T) {
	for name, leaveOut := range map[string]func(){"no type": func() {}, "Goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			rec := recordSession(t, wsnotify.Config{RecordMessage: func(m wsnotify.Message) wsnotify.Message {
				if m.Type == wsnotify.MessageBinary || strings.HasPrefix(string(m.Data), "p") {
					leaveOut()
					return wsnotify.Message{}
				}
				return m
			}})
			texts := 0
			for _, e := range rec.Events {
				if e.Type == "binary" || e.Type == "ping" || e.Text == "ping" {
					t.Errorf("%+v", e)
				}
				if e.Type == "text" {
					texts++
				}
			}
			if texts == 0 {
				t.Error("nothing else was recorded")
			}
		})
	}
}

// A RecordMessage that blocks holds up the writer, but no ctx of a Send: its message has not left.
func TestRecordMessageThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsnotifytest.NewNetwork(t).NewServer()
		release := make(chan struct{})
		c := wsnotify.New(wsnotify.Config{
			HTTPClient: s.HTTPClient(), Heartbeat: wsnotify.Heartbeat{Interval: -1}, Record: io.Discard,
			RecordMessage: func(m wsnotify.Message) wsnotify.Message { <-release; return m },
		})
		if err := c.Connect(t.Context(), s.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if err := c.SendText(ctx, "not sent"); err != context.DeadlineExceeded || time.Since(begun) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		close(release)
		if err := c.SendText(t.Context(), "sent"); err != nil {
			t.Error(err)
		}
		if err := c.Disconnect(); err != nil {
			t.Error(err)
		}
		<-c.Done()
		if got := s.Messages("ada"); !slices.Equal(got, []string{"sent"}) {
			t.Errorf("the server got %q", got)
		}
	})
}

// stuck is a writer that takes nothing until it is released.
type stuck struct {
	mu      sync.Mutex
	release chan struct{}
	b       bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

// A writer that takes nothing costs events: not the connection, nor the end of the client more than
// CloseTimeout.
func TestStuckRecordCostsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := wsnotifytest.NewNetwork(t).NewServer()
		s.Echo()
		s.AllowGoroutines()
		w := &stuck{release: make(chan struct{})}
		got := 0
		c := wsnotify.New(wsnotify.Config{HTTPClient: s.HTTPClient(), Record: w, CloseTimeout: 2 * time.Second,
			Heartbeat: wsnotify.Heartbeat{Interval: -1}, OnMessage: func(wsnotify.Message) { got++ }})
		if err := c.Connect(t.Context(), s.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		const count = 2000
		for range count {
			if err := c.Send(t.Context(), wsnotify.MessageText, bytes.Repeat([]byte("x"), 4000)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if got != count {
			t.Errorf("%d messages came", got)
		}
		start := time.Now()
		if err := c.Disconnect(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("Disconnect took %v", d)
		}
		<-c.Done()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("Done took %v", d)
		}
		close(w.release)
		synctest.Wait()
		rec, err := wsnotifytest.ReadRecording(&w.b)
		if err != nil {
			t.Fatal(err)
		}
		lost := 0
		for _, e := range rec.Events {
			if e.Type == "lost" {
				lost += e.Count
			}
		}
		// An open, the messages twice, and two close frames.
		if lost == 0 || len(rec.Events)-1+lost != 2*count+3 {
			t.Errorf("%d events, %d lost", len(rec.Events), lost)
		}
	})
}

type full struct{}

var errFull = errors.New("no space left on device")

func (full) Write([]byte) (int, error) { return 0, errFull }

// exitingWriter is a writer that ends its goroutine, as one that calls FailNow does.
type exitingWriter struct{}

func (exitingWriter) Write([]byte) (int, error) { runtime.Goexit(); return 0, nil }

// A writer that fails is an OnError, once.
func TestFailedRecordIsAnError(t *testing.T) {
	for _, test := range []struct {
		w    io.Writer
		want string
	}{
		{full{}, "no space left on device"},
		{exitingWriter{}, "it ended its goroutine (runtime.Goexit, which a test's FailNow calls too) instead of returning"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := wsnotifytest.NewNetwork(t).NewServer()
			var errs []error
			c := wsnotify.New(wsnotify.Config{HTTPClient: s.HTTPClient(), Record: test.w, OnError: func(err error) { errs = append(errs, err) }})
			if err := c.Connect(t.Context(), s.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			for range 5 {
				_ = c.SendMessage(context.Background(), "x")
				synctest.Wait()
			}
			_ = c.Disconnect()
			<-c.Done()
			if len(errs) != 1 || errs[0].Error() != "wsnotify: writing to Config.Record: "+test.want+"; nothing more is recorded" {
				t.Errorf("%q", errs)
			}
		})
	}
}
