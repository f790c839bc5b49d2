//go:build !js

package wsnotifytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// recordingOf makes a recording of lines "time conn dir type value", with the time in seconds.
func recordingOf(t *testing.T, text string) *wsnotifytest.Recording {
	t.Helper()
	rec := new(wsnotifytest.Recording)
	for line := range strings.Lines(text) {
		var e wsnotifytest.Event
		var seconds float64
		fields := strings.SplitN(strings.TrimSpace(line), " ", 5)
		if len(fields) < 4 {
			continue
		}
		if _, err := fmt.Sscan(fields[0]+" "+fields[1], &seconds, &e.Conn); err != nil {
			t.Fatal(err)
		}
		e.T, e.Dir, e.Type = time.Duration(seconds*float64(time.Second)), fields[2], fields[3]
		if len(fields) == 5 {
			switch e.Type {
			case "text":
				e.Text = fields[4]
			case "binary":
				e.Data = []byte(fields[4])
			case "close":
				_, _ = fmt.Sscan(fields[4], &e.Code, &e.Reason)
			case "failure":
				_, _ = fmt.Sscan(fields[4], &e.Status)
			case "open":
				e.Subprotocol = fields[4]
			}
		}
		rec.Events = append(rec.Events, e)
	}
	return rec
}

// A recording is read as it was written.
func TestRecordingRoundTrip(t *testing.T) {
	rec := recordingOf(t, `0 1 out open v1
		1 1 in text hello
		1.5 1 out binary bytes
		2 1 in close 1012 restart
		2 1 out close 1012 restart
		3 2 in failure 503`)
	var file bytes.Buffer
	n, err := rec.WriteTo(&file)
	if err != nil || n != int64(file.Len()) {
		t.Fatal(n, file.Len(), err)
	}
	if !strings.HasPrefix(file.String(), `{"v":1,"t":0,"conn":1,"dir":"out","type":"open","subprotocol":"v1"}`+"\n"+`{"t":1000000000,"conn":1,"dir":"in","type":"text","text":"hello"}`+"\n") {
		t.Error(file.String())
	}
	text := file.String()
	back, err := wsnotifytest.ReadRecording(&file)
	if err != nil {
		t.Fatal(err)
	}
	var again bytes.Buffer
	if _, err := back.WriteTo(&again); err != nil || again.String() != text {
		t.Errorf("%s, %v", again.String(), err)
	}
	if m := back.Message(2); m == nil || string(m.Data) != "bytes" || m.String() != `binary "bytes"` || back.Message(3) != nil {
		t.Error(m)
	}
	if _, err := wsnotifytest.ReadRecording(strings.NewReader(text + "{}\n")); err == nil || !strings.HasPrefix(err.Error(), "wsnotifytest: reading a recording: line 7: type: expected open, text") {
		t.Error(err)
	}
	bad := &wsnotifytest.Recording{Events: []wsnotifytest.Event{{Conn: 1, Dir: "in", Type: "text", Text: "\xff"}}}
	if _, err := bad.WriteTo(&again); err == nil || !strings.Contains(err.Error(), "event 1: the text of a message is not UTF-8") {
		t.Error(err)
	}
}

// limitedWriter is a disk that becomes full.
type limitedWriter struct{ left int }

var errFull = errors.New("no space left")

func (w *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	if w.left -= n; n < len(p) {
		return n, errFull
	}
	return n, nil
}

// How many bytes of a recording were written is known also when that fails, at whatever byte.
func TestRecordingThatCannotBeWritten(t *testing.T) {
	for _, size := range []int{10, 5000} { // less and more than is written at once
		rec := new(wsnotifytest.Recording)
		for range 3 {
			rec.Events = append(rec.Events, wsnotifytest.Event{Conn: 1, Dir: "in", Type: "text", Text: strings.Repeat("x", size)})
		}
		var whole bytes.Buffer
		if _, err := rec.WriteTo(&whole); err != nil {
			t.Fatal(err)
		}
		for _, limit := range []int{0, 1, 4095, 4096, 4097, 6000, whole.Len() - 1, whole.Len()} {
			limit = min(limit, whole.Len())
			n, err := rec.WriteTo(&limitedWriter{limit})
			if want := limit < whole.Len(); n != int64(limit) || errors.Is(err, errFull) != want {
				t.Errorf("of %d bytes %d can be written: %d, %v", whole.Len(), limit, n, err)
			}
		}
		rec.Events[2].Text = "\xff"
		if n, err := rec.WriteTo(&limitedWriter{1 << 20}); err == nil || n > int64(whole.Len()) || size > 4096 && n == 0 {
			t.Errorf("of a wrong event: %d, %v", n, err)
		}
	}
}

// Replay keeps the gaps of the recording, to the nanosecond.
func TestReplayKeepsTheGaps(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		s.Replay(recordingOf(t, `0 1 out open
			0.25 1 in text a
			0.25 1 in text b
			3600 1 in text c
			3601 1 out text question
			3601.000000001 1 in text answer
			3602 1 in close 1001 bye
			3602 1 out close 1001 bye`))
		c := dial(t, s, "ada")
		start := time.Now()
		for _, want := range []struct {
			text string
			at   time.Duration
		}{{"a", 250 * time.Millisecond}, {"b", 250 * time.Millisecond}, {"c", time.Hour}, {"answer", time.Hour + 2*time.Minute + 1}} {
			if want.text == "answer" { // later than in the recording: the gap begins here
				time.Sleep(2 * time.Minute)
				_ = c.Write(t.Context(), websocket.MessageText, []byte("question"))
			}
			_, got, err := c.Read(t.Context())
			if d := time.Since(start); err != nil || string(got) != want.text || d != want.at {
				t.Errorf("%q after %v, %v; want %q after %v", got, d, err, want.text, want.at)
			}
		}
		_, _, err := c.Read(t.Context())
		if websocket.CloseStatus(err) != 1001 {
			t.Error(err)
		}
		if err := s.WaitReplay(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A test may be over before its replay, which is no difference unless it had not begun.
func TestReplayIsCutOffByTheEndOfTheTest(t *testing.T) {
	const rec = `0 1 out open
		1 1 in text ask
		2 1 out text answer
		3 1 in text %s
		7200 1 in text late`
	for _, test := range []struct {
		name   string
		client func(ctx context.Context, c *websocket.Conn)
		after  time.Duration
		want   []string
	}{
		{"no connection", nil, 0,
			[]string{"at event 1, after 0s on connection 1: expected a connection, got nothing before the test was over; 0 handshakes came since the beginning"}},
		{"before the server's word", nil, time.Second / 2, nil},
		{"before the client's word", nil, 3 * time.Second / 2, nil},
		{"behind the client's word", nil, 5 * time.Second / 2, nil},
		{"while the client does not read", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageText, []byte("answer"))
		}, time.Hour, nil},
		{"before a late word", func(ctx context.Context, c *websocket.Conn) {
			_ = c.Write(ctx, websocket.MessageText, []byte("answer"))
			for range 2 {
				_, _, _ = c.Read(ctx)
			}
		}, time.Hour, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &testkit.Recorder{TB: t}
				n := wsnotifytest.NewNetwork(r)
				n.Buffer(100)
				s := n.NewServer()
				s.AllowOpenConns()
				s.Replay(recordingOf(t, fmt.Sprintf(rec, strings.Repeat("x", 1000))))
				if test.after > 0 {
					c := dial(t, s, "ada")
					defer c.CloseNow()
					if test.client != nil {
						go test.client(t.Context(), c)
					}
					time.Sleep(test.after)
				}
				wantErrors(t, r.End(), test.want...)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // before the next connection
		r := &testkit.Recorder{TB: t}
		s := wsnotifytest.NewNetwork(r).NewServer()
		s.Replay(recordingOf(t, `0 1 out open
			1 1 in close 1006
			8 2 out open`))
		c := dial(t, s, "ada")
		_, _, _ = c.Read(t.Context())
		_ = c.CloseNow()
		time.Sleep(2 * time.Second)
		wantErrors(t, r.End())
	})
}

// The first thing that the client does otherwise fails the test: the event, what was expected, what came.
func TestReplayReportsTheFirstDifference(t *testing.T) {
	const rec = `0 1 out open
		1 1 in text ask
		2 1 out text answer
		3 1 out binary bytes
		4 1 in text thanks
		5 1 out close 1000 bye
		5 1 in close 1000 bye
		8 2 out open
		9 2 out text again
		9 2 in close 1006`
	type client = func(ctx context.Context, c *websocket.Conn, dial func() *websocket.Conn)
	text := func(ctx context.Context, c *websocket.Conn, text string) {
		_ = c.Write(ctx, websocket.MessageText, []byte(text))
	}
	binary := func(ctx context.Context, c *websocket.Conn, text string) {
		_ = c.Write(ctx, websocket.MessageBinary, []byte(text))
	}
	right := func(ctx context.Context, c *websocket.Conn) {
		_, _, _ = c.Read(ctx)
		text(ctx, c, "ping")
		text(ctx, c, "answer")
		binary(ctx, c, "bytes")
		_, _, _ = c.Read(ctx)
		_ = c.Close(1000, "bye")
	}
	for _, test := range []struct {
		name   string
		client client
		want   string
	}{
		{"nothing", func(ctx context.Context, c *websocket.Conn, dial func() *websocket.Conn) {
			right(ctx, c)
			text(ctx, dial(), "again")
		}, ""},
		{"another text", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) { text(ctx, c, "anser") },
			`wsnotifytest: the client differs from the recording at event 3, after 2s on connection 1: expected text "answer", got text "anser"; connection 1 of user "ada" is open, messages on it: ["anser"]`},
		{"another type", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) {
			text(ctx, c, "answer")
			text(ctx, c, "bytes")
		}, `at event 4, after 3s on connection 1: expected binary "bytes", got text "bytes"; connection 1 of user "ada" is open, messages on it: ["answer", "bytes"]`},
		{"too much", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) {
			text(ctx, c, "answer")
			binary(ctx, c, "bytes")
			text(ctx, c, "more")
		}, `at event 6, after 5s on connection 1: expected close 1000 "bye", got text "more"`},
		{"no message", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) { text(ctx, c, "answer") },
			`at event 4, after 3s on connection 1: expected binary "bytes", got nothing, 1h0m0s after it was due; connection 1 of user "ada" is open, messages on it: ["answer"]`},
		{"an early close", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) {
			_, _, _ = c.Read(ctx)
			text(ctx, c, "answer")
			_ = c.Close(4000, "no")
		}, `at event 4, after 3s on connection 1: expected binary "bytes", got close 4000 "no"`},
		{"an early close while the server has the word", func(_ context.Context, c *websocket.Conn, _ func() *websocket.Conn) { _ = c.Close(4000, "no") },
			`at event 2, after 1s on connection 1: expected the connection to go on, got close 4000 "no"`},
		{"an early end", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) {
			_, _, _ = c.Read(ctx)
			text(ctx, c, "answer")
			_ = c.CloseNow()
		}, `at event 4, after 3s on connection 1: expected binary "bytes", got the client's end of the connection without a close frame`},
		{"an early end while the server has the word", func(_ context.Context, c *websocket.Conn, _ func() *websocket.Conn) { _ = c.CloseNow() },
			`at event 2, after 1s on connection 1: expected the connection to go on, got the client's end of the connection without a close frame`},
		{"another reason", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) {
			text(ctx, c, "answer")
			binary(ctx, c, "bytes")
			_, _, _ = c.Read(ctx)
			_, _, _ = c.Read(ctx)
			_ = c.Close(1000, "good bye")
		}, `at event 6, after 5s on connection 1: expected close 1000 "bye", got close 1000 "good bye"`},
		{"text before a close of the server", func(ctx context.Context, c *websocket.Conn, dial func() *websocket.Conn) {
			right(ctx, c)
			c = dial()
			text(ctx, c, "again")
			text(ctx, c, "and more")
		}, `at event 10, after 9s on connection 2: expected the end of the connection without a close frame, got text "and more"; connection 2`},
		{"no second connection", func(ctx context.Context, c *websocket.Conn, _ func() *websocket.Conn) { right(ctx, c) },
			`at event 8, after 8s on connection 2: expected a connection, got nothing, 1h0m0s after it was due; 1 handshakes came since the beginning`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &testkit.Recorder{TB: t}
				s := wsnotifytest.NewNetwork(r).NewServer()
				s.Replay(recordingOf(t, rec))
				var all []*websocket.Conn
				dialOne := func() *websocket.Conn { all = append(all, dial(t, s, "ada")); return all[len(all)-1] }
				test.client(t.Context(), dialOne(), dialOne)
				err := s.WaitReplay(context.Background())
				for _, c := range all {
					_ = c.CloseNow()
				}
				errs := r.End()
				if test.want == "" {
					wantErrors(t, errs)
					return
				}
				wantErrors(t, errs, test.want)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("WaitReplay returned %v", err)
				}
			})
		})
	}
}

// A recording in which the server sends behind its own close frame can't be played: the error says where.
func TestReplayOfAMessageBehindTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		s := wsnotifytest.NewNetwork(r).NewServer()
		s.Replay(recordingOf(t, `0 1 out open
			1 1 in close 1000 bye
			2 1 in text late`))
		c := dial(t, s, "ada")
		_, _, _ = c.Read(t.Context())
		err := s.WaitReplay(context.Background())
		const want = `at event 3, after 2s on connection 1: expected to send text "late", got `
		wantErrors(t, r.End(), want)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("WaitReplay returned %v", err)
		}
	})
}

// What a server does otherwise than with messages is played, too: how it ends a connection, and its silence.
func TestReplayPlaysEnds(t *testing.T) {
	for _, test := range []struct {
		name   string
		ending func(e *wsnotifytest.Event) // of a close by the server after 2 s
		want   string                      // how the client's Read ends
	}{
		{"code", func(e *wsnotifytest.Event) { e.Code, e.Reason = 4001, "bye" }, "2s close 4001 bye"},
		{"no code", func(e *wsnotifytest.Event) { e.Code = 1005 }, "2s close 1005 "},
		{"a code that must not be sent", func(e *wsnotifytest.Event) { e.Code = 1015 }, "2s invalid status code StatusTLSHandshake"},
		{"end", func(e *wsnotifytest.Event) { e.Code = 1006 }, "2s EOF"},
		{"reset", func(e *wsnotifytest.Event) { e.Code, e.Error = 1006, "read: connection reset by peer" }, "2s connection reset by peer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := wsnotifytest.NewNetwork(t).NewServer()
				rec := recordingOf(t, `0 1 out open
					1 1 in binary bytes
					1 1 in pong p
					2 1 in close`)
				test.ending(&rec.Events[3])
				start := time.Now()
				s.Replay(rec)
				c := dial(t, s, "ada")
				if _, data, err := c.Read(t.Context()); string(data) != "bytes" || time.Since(start) != time.Second {
					t.Errorf("%q came after %v: %v", data, time.Since(start), err)
				}
				_, _, err := c.Read(t.Context())
				got := fmt.Sprint(time.Since(start), " ")
				var closed websocket.CloseError
				if errors.As(err, &closed) {
					got += fmt.Sprintf("close %d %s", int(closed.Code), closed.Reason)
				} else {
					got += err.Error()
				}
				when, what, _ := strings.Cut(test.want, " ")
				if !strings.HasPrefix(got, when+" ") || !strings.Contains(got, what) {
					t.Errorf("the client saw %q, want %q", got, test.want)
				}
				if err := s.WaitReplay(t.Context()); err != nil {
					t.Error(err)
				}
				_ = c.CloseNow()
				s.AllowViolations()
			})
		})
	}
}

// A client that dropped a silent server did so after nothing had come for a while: from then on, the server of
// the replay answers no ping.
func TestReplayFallsSilent(t *testing.T) {
	for name, silent := range map[string]time.Duration{"said": 2500 * time.Millisecond, "not said": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := wsnotifytest.NewNetwork(t).NewServer()
				rec := recordingOf(t, `0 1 out open
					2 1 in text last
					5 1 out close 1006`)
				rec.Events[2].Silent = silent
				s.Replay(rec)
				c := dial(t, s, "ada")
				ping := func() error {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
					defer cancel()
					return c.Ping(ctx)
				}
				read := make(chan string, 1)
				go func() {
					for {
						_, data, err := c.Read(t.Context())
						if err != nil {
							return
						}
						read <- string(data)
					}
				}()
				time.Sleep(time.Second)
				if err := ping(); err != nil {
					t.Errorf("before it fell silent, it answers a ping with %v", err)
				}
				if data := <-read; data != "last" {
					t.Errorf("it sent %q", data)
				}
				time.Sleep(time.Second / 4)
				if err := ping(); (err == nil) != (silent != 0) {
					t.Errorf("a quarter of a second after the last message, it answers a ping with %v", err)
				}
				time.Sleep(time.Second / 2)
				if err := ping(); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("after that, it answers a ping with %v", err)
				}
				time.Sleep(1500 * time.Millisecond)
				_ = c.CloseNow()
				if err := s.WaitReplay(t.Context()); err != nil {
					t.Error(err)
				}
				s.AllowViolations()
			})
		})
	}
}

func TestReplayMisuse(t *testing.T) {
	rec := recordingOf(t, "0 1 out open")
	for want, misuse := range map[string]func(s *wsnotifytest.Server){
		"Replay on a server that is closed": func(s *wsnotifytest.Server) { s.Close(); s.Replay(rec) },
		"Replay while another one goes on: wait for it with WaitReplay": func(s *wsnotifytest.Server) {
			s.Replay(rec)
			s.Replay(rec)
			s.Close()
		},
		"Replay can't compare messages while RecordMessages is off": func(s *wsnotifytest.Server) { s.RecordMessages(false); s.Replay(rec) },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			misuse(wsnotifytest.NewNetwork(r).NewServer())
			if errs := r.End(); len(errs) == 0 || !strings.Contains(errs[0], want) {
				t.Errorf("the errors are %q, want %q", errs, want)
			}
		})
	}
}

// Faults are laid over a recording: behind any event by Do, and by everything that a server can do.
func TestFaultsOverARecording(t *testing.T) {
	const rec = `0 1 out open
		1 1 in text one
		2 1 in text two
		3 1 in text three
		9 2 out open
		10 2 in text four
		10 2 in close 1000
		10 2 out close 1000`
	for name, test := range map[string]struct {
		fault func(s *wsnotifytest.Server, rec *wsnotifytest.Recording)
		want  string // what a client sees that reconnects after a second
	}{
		"none": {func(*wsnotifytest.Server, *wsnotifytest.Recording) {}, "one@1s two@2s three@3s"},
		"drop": {func(_ *wsnotifytest.Server, r *wsnotifytest.Recording) { r.Message(2).Do = (*wsnotifytest.Conn).Drop }, "one@1s two@2s end@2s four@4s close@4s"},
		"reset": {func(_ *wsnotifytest.Server, r *wsnotifytest.Recording) {
			r.Message(1).Do = func(c *wsnotifytest.Conn) { time.Sleep(time.Second / 2); c.Reset() }
		}, "one@1s end@1.5s four@3.5s close@3.5s"},
		"half-open": {func(_ *wsnotifytest.Server, r *wsnotifytest.Recording) {
			r.Message(1).Do = func(c *wsnotifytest.Conn) { c.BlackHole(true) }
		}, "one@1s timeout@11s four@13s close@13s"},
		"a close": {func(_ *wsnotifytest.Server, r *wsnotifytest.Recording) {
			r.Message(1).Do = func(c *wsnotifytest.Conn) { _ = c.Close(4001, "") }
		}, "one@1s close@1s four@3s close@3s"},
		"a slow line": {func(s *wsnotifytest.Server, _ *wsnotifytest.Recording) { s.Latency(time.Second) }, "one@6s two@7s three@8s"},
		"refused":     {func(s *wsnotifytest.Server, _ *wsnotifytest.Recording) { s.Refuse(2, 503, nil, "") }, "refused@0s refused@1s one@3s two@4s three@5s"},
		"refused later": {func(s *wsnotifytest.Server, r *wsnotifytest.Recording) {
			r.Message(1).Do = func(c *wsnotifytest.Conn) { s.Refuse(1, 503, nil, ""); c.Drop() }
		}, "one@1s end@1s refused@2s four@4s close@4s"},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
				r := recordingOf(t, rec)
				test.fault(s, r)
				s.Replay(r)
				start := time.Now()
				var saw []string
				see := func(what string) { saw = append(saw, fmt.Sprintf("%s@%v", what, time.Since(start))) }
				for range 5 {
					c, _, err := websocket.Dial(t.Context(), s.URL()+"ada", &websocket.DialOptions{HTTPClient: s.HTTPClient()})
					if err != nil {
						see("refused")
						time.Sleep(time.Second)
						continue
					}
					for err == nil {
						ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
						var data []byte
						_, data, err = c.Read(ctx)
						switch {
						case err == nil:
							see(string(data))
						case websocket.CloseStatus(err) != -1:
							see("close")
						case errors.Is(err, context.DeadlineExceeded):
							see("timeout")
						default:
							see("end")
						}
						cancel()
						if err == nil && string(data) == "three" {
							break
						}
					}
					_ = c.CloseNow()
					last := strings.Join(saw, " ")
					if strings.Contains(last, "three") || strings.Contains(last, "four") {
						break
					}
					time.Sleep(time.Second)
				}
				synctest.Wait() // the server has yet to read the client's close frame
				if got := strings.Join(saw, " "); got != test.want {
					t.Errorf("the client saw %s, want %s", got, test.want)
				}
				s.AllowViolations()
			})
		})
	}
}

// A client may not leave before a server falls silent, nor while that sends what is not read.
func TestReplayOfAClientThatLeaves(t *testing.T) {
	for name, test := range map[string]struct {
		rec  string
		want string
		at   time.Duration
	}{
		"before the silence": {`0 1 out open
			5 1 out close 1006`, "at event 2, after 5s on connection 1: expected the connection to go on, got close 4000", time.Second},
		"while it does not read": {"0 1 out open\n0 1 in text " + strings.Repeat("x", 1<<20), "at event 2, after 0s on connection 1: expected the connection to go on, got close 4000", 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &testkit.Recorder{TB: t}
				n := wsnotifytest.NewNetwork(r)
				s := n.NewServer()
				s.AnswerClose(false)
				rec := recordingOf(t, test.rec)
				if len(rec.Events[1].Text) == 0 {
					rec.Events[1].Silent = 3 * time.Second
				}
				s.Replay(rec)
				c, _ := rawDial(t, n, s)
				start := time.Now()
				time.Sleep(time.Second)
				_, _ = io.WriteString(c, masked(0x88, "\x0f\xa0"))
				if err := s.WaitReplay(context.Background()); err == nil || !strings.Contains(err.Error(), test.want) || time.Since(start) != test.at {
					t.Errorf("after %v: %v, want %s", time.Since(start), err, test.want)
				}
				_ = c.Close()
				wantErrors(t, r.End(), test.want)
			})
		})
	}
}

// The end of a test ends what is played, whatever that waits for, and is a difference only if a client was to come.
func TestReplayEndsWithTheTest(t *testing.T) {
	for name, test := range map[string]struct {
		rec  string
		want string
	}{
		"before a connection": {"0 1 out open", `expected a connection, got nothing before the test was over; 0 handshakes came since the beginning`},
		"before a message":    {"0 1 out open\n9 1 in text x", ""},
		"before the silence":  {"0 1 out open\n9 1 out close 1006", ""},
		"before an answer":    {"0 1 out open\n9 1 out text x", ""},
		"without an answer":   {"0 1 out open\n1 1 out text x", ""},
		"while it sends":      {"0 1 out open\n1 1 in text " + strings.Repeat("x", 1<<20) + "\n2 1 in text y", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &testkit.Recorder{TB: t}
				n := wsnotifytest.NewNetwork(r)
				s := n.NewServer()
				did := false
				rec := recordingOf(t, test.rec)
				rec.Events[len(rec.Events)-1].Do = func(*wsnotifytest.Conn) { did = true }
				s.Replay(rec)
				if name != "before a connection" {
					c, _ := rawDial(t, n, s)
					defer c.Close()
					s.AllowOpenConns()
				}
				time.Sleep(2 * time.Second)
				s.Close()
				err := s.WaitReplay(context.Background())
				if test.want == "" {
					wantErrors(t, r.End())
				} else {
					wantErrors(t, r.End(), test.want)
				}
				if (err != nil) != (test.want != "") || did {
					t.Errorf("WaitReplay returned %v, and the last event was played: %v", err, did)
				}
			})
		})
	}
}

// Where the test has broken a connection, what the client does on it is not compared.
func TestFaultsWhereTheClientIsToAct(t *testing.T) {
	const rec = `0 1 out open
		1 1 in text one
		2 1 %s
		3 1 in text three
		9 2 out open
		10 2 in text four`
	for _, event := range []string{"out text two", "out close 1000", "in text two", "out text " + strings.Repeat("x", 1000)} {
		for name, fault := range map[string]func(c *wsnotifytest.Conn){
			"drop": (*wsnotifytest.Conn).Drop, "reset": (*wsnotifytest.Conn).Reset, "close": func(c *wsnotifytest.Conn) { _ = c.Close(1012, "") },
		} {
			synctest.Test(t, func(t *testing.T) {
				s := wsnotifytest.NewNetwork(t).NewServer()
				r := recordingOf(t, fmt.Sprintf(rec, event))
				r.Message(1).Do = func(c *wsnotifytest.Conn) { time.Sleep(time.Second / 2); fault(c) }
				s.Replay(r)
				for _, want := range []string{"one", "four"} {
					c := dial(t, s, "ada")
					if _, text, err := c.Read(t.Context()); string(text) != want {
						t.Errorf("%s, then %.20s: %q, %v", name, event, text, err)
					}
					if want == "one" {
						_, _, _ = c.Read(t.Context())
					}
					_ = c.CloseNow()
				}
				if err := s.WaitReplay(t.Context()); err != nil {
					t.Errorf("%s, then %.20s: %v", name, event, err)
				}
				s.AllowViolations()
			})
		}
	}
}

// Of a message that a fault interrupts, nothing more is expected.
func TestFaultWhileAReplaySends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := wsnotifytest.NewNetwork(t)
		s := n.NewServer()
		s.Replay(recordingOf(t, "0 1 out open\n0 1 in text "+strings.Repeat("x", 1<<20)+"\n5 2 out open\n6 2 in text again"))
		c, _ := rawDial(t, n, s)
		time.Sleep(time.Second)
		s.Everybody().Drop()
		_ = c.Close()
		again := dial(t, s, "ada")
		if _, text, err := again.Read(t.Context()); string(text) != "again" {
			t.Errorf("%q, %v", text, err)
		}
		_ = again.CloseNow()
		if err := s.WaitReplay(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A recording is played in memory and on loopback, with TLS and without, and compressed or not.
func TestReplayEverywhere(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.Compress(true)
		s.Replay(recordingOf(t, `0 1 in failure 503
			0 1 in failure
			0.01 1 out open chat
			0.02 1 in text hello
			0.03 1 out binary bytes
			0.04 1 in ping p
			0.04 1 out pong p
			0.05 1 in close 1006
			0.06 2 out open
			0.07 2 out text again
			0.08 2 out close 4000 bye
			0.09 2 in close 4000 bye`))
		for range 2 {
			if err := tryDial(t.Context(), s); err == nil {
				t.Error("it is not refused")
			}
		}
		c, resp, err := websocket.Dial(t.Context(), s.URL()+"ada", &websocket.DialOptions{
			HTTPClient: s.HTTPClient(), Subprotocols: []string{"chat"}, CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != "chat" {
			t.Errorf("the subprotocol is %q", got)
		}
		if _, got, err := c.Read(t.Context()); string(got) != "hello" {
			t.Errorf("%q, %v", got, err)
		}
		_ = c.Write(t.Context(), websocket.MessageBinary, []byte("bytes"))
		if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != -1 {
			t.Error(err)
		}
		_ = c.CloseNow()
		c = dial(t, s, "ada")
		_ = c.Write(t.Context(), websocket.MessageText, []byte("again"))
		if err := c.Close(4000, "bye"); err != nil {
			t.Error(err)
		}
		if err := s.WaitReplay(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
