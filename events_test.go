package wsnotify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
)

// printing returns a Config that writes down how every event prints.
func printing(lines *[]string, cfg wsnotify.Config) wsnotify.Config {
	note := func(v any) { *lines = append(*lines, fmt.Sprint(v)) }
	cfg.OnStateChange = func(s wsnotify.StateChange) { note(s) }
	cfg.OnOpen = func(e wsnotify.OpenEvent) { note(e) }
	cfg.OnClose = func(e wsnotify.CloseEvent) { note(e) }
	cfg.OnReconnecting = func(e wsnotify.ReconnectEvent) { note(e) }
	cfg.OnGiveUp = func(e *wsnotify.GiveUpError) { note(e) }
	return cfg
}

// Events print with what happened, why, and what comes next.
func TestEventsPrintAsOneLine(t *testing.T) {
	once := func() wsnotify.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(10*time.Second), 1) }
	for name, test := range map[string]struct {
		watch  time.Duration
		url    string
		script func(*rawPeer)
		want   []string
	}{
		"refused": {25 * time.Second, "ws://ada:hunter2@server.test/ws/?token=hunter2", answers(response(401, "token expired", "Retry-After: 20")), []string{
			"CLOSED → CONNECTING",
			`CONNECTING → CLOSED: dialling ws://ada:xxxxx@server.test/ws/?token=xxxxx: expected 101 Switching Protocols, got 401 Unauthorized: its body says "token expired"; ` + advice401,
			`handshake failed: dialling ws://ada:xxxxx@server.test/ws/?token=xxxxx: expected 101 Switching Protocols, got 401 Unauthorized: its body says "token expired"; ` + advice401 +
				"; the server asks to wait 20s; reconnect 1 in 20s",
			"CLOSED → CONNECTING",
			`CONNECTING → CLOSED: dialling ws://ada:xxxxx@server.test/ws/?token=xxxxx: expected 101 Switching Protocols, got 401 Unauthorized: its body says "token expired"; ` + advice401,
			`wsnotify: giving up after 2 attempts: dialling ws://ada:xxxxx@server.test/ws/?token=xxxxx: expected 101 Switching Protocols, got 401 Unauthorized: its body says "token expired"; ` + advice401,
		}},
		"no answer": {15 * time.Second, "ws://server.test/?token=hunter2", func(p *rawPeer) { p.request() }, []string{
			"CLOSED → CONNECTING",
			"CONNECTING → CLOSED: dialling ws://server.test/?token=xxxxx: EOF; the server hung up without an answer: if that port speaks TLS, try wss://; else check port and path of the url",
			"dial failed: dialling ws://server.test/?token=xxxxx: EOF; the server hung up without an answer: if that port speaks TLS, try wss://; else check port and path of the url; reconnect 1 in 10s",
			"CLOSED → CONNECTING",
			"CONNECTING → CLOSED: dialling ws://server.test/?token=xxxxx: EOF; the server hung up without an answer: if that port speaks TLS, try wss://; else check port and path of the url",
			"wsnotify: giving up after 2 attempts: dialling ws://server.test/?token=xxxxx: EOF; the server hung up without an answer: if that port speaks TLS, try wss://; else check port and path of the url",
		}},
		"closed": {5 * time.Second, "ws://hunter2@server.test/?token=hunter2", accepts(func(p *rawPeer) {
			p.rest(3 * time.Second)
			p.frames(closeFrame(1008, "no\r\nway"))
			p.closed()
		}), []string{
			"CLOSED → CONNECTING",
			"CONNECTING → OPEN",
			"connection 1 open: ws://xxxxx@server.test/?token=xxxxx",
			"OPEN → CLOSED: the server closed it",
			`connection 1 closed after 3s with code 1008 "no\r\nway": the server closed it; reconnecting`,
			`open connection ended after 3s: the server closed it with code 1008 "no\r\nway"; reconnect 1 in 10s`,
		}},
		"silent": {15 * time.Second, "ws://server.test/", accepts(func(p *rawPeer) { p.silence() }), []string{
			"CLOSED → CONNECTING",
			"CONNECTING → OPEN",
			"connection 1 open: ws://server.test/",
			"OPEN → CLOSED: no answer to the heartbeat",
			"connection 1 closed after 12s with code 1006: no answer to the heartbeat; reconnecting",
			"open connection ended after 12s: no answer to the heartbeat; reconnect 1 in 10s",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			inRawBubble(t, printing(&lines, wsnotify.Config{BackOff: once}), test.script, func(w *world, _ *rawNet) {
				go w.c.Run(w.Context(), test.url, "")
				time.Sleep(test.watch)
				synctest.Wait()
				got := slices.Clone(lines)
				w.c.Disconnect()
				<-w.c.Done()
				if !slices.Equal(got, test.want) {
					t.Errorf("the lines are\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
				for _, line := range lines {
					checkShown(t, line)
				}
			})
		})
	}
}

const advice401 = "credentials are missing or have expired; BeforeDial can set new ones for each attempt"

// What a program makes by hand prints, too.
func TestFailurePrintsWhatIsKnown(t *testing.T) {
	bye := wsnotify.CloseError{Code: 4001, Reason: "bye"}
	for want, v := range map[string]fmt.Stringer{
		"hook failed":                         wsnotify.Failure{},
		"hook failed: BeforeDial: no\\ntoken": wsnotify.Failure{Err: errors.New("wsnotify: BeforeDial: no\ntoken")},
		`hook failed: OnHandshake: not now; the server closed the connection with code 4001 "bye"`: wsnotify.Failure{
			Initiator: wsnotify.Remote, Code: 4001, Reason: "bye", Err: errors.New("OnHandshake: not now")},
		"open connection ended after 1.5s: the server closed it with no code": wsnotify.Failure{
			Phase: wsnotify.PhaseOpen, Initiator: wsnotify.Remote, Code: 1005, Uptime: 1500 * time.Millisecond, Err: wsnotify.CloseError{Code: 1005}},
		"open connection ended after 1h0m1s: Reconnect was called": wsnotify.Failure{
			Phase: wsnotify.PhaseOpen, Initiator: wsnotify.Local, Code: 1000, Uptime: time.Hour + 700*time.Millisecond, Err: errors.New("wsnotify: Reconnect was called")},
		"connection 1 closed after 2s with code 1000: this side closed it; not reconnecting": wsnotify.CloseEvent{
			Epoch: 1, Code: 1000, WasClean: true, Failure: wsnotify.Failure{Phase: wsnotify.PhaseOpen, Uptime: 2 * time.Second, Err: wsnotify.ErrClosed}},
		`connection 2 closed with code 4001 "bye": the server closed it; not reconnecting`: wsnotify.CloseEvent{
			Epoch: 2, Code: 4001, Reason: "bye", WasClean: true, Failure: wsnotify.Failure{Phase: wsnotify.PhaseOpen, Initiator: wsnotify.Remote, Err: bye}},
		"open connection ended after 1s: the server broke the protocol: no": wsnotify.Failure{
			Phase: wsnotify.PhaseOpen, Initiator: wsnotify.Remote, Code: 1002, Uptime: time.Second, Err: errors.New("wsnotify: the server broke the protocol: no")},
		"open connection ended: the server closed it": wsnotify.Failure{Phase: wsnotify.PhaseOpen, Initiator: wsnotify.Local, Code: 4001, Err: bye},
		"dial failed: refused; reconnect 2 in 1ms": wsnotify.ReconnectEvent{
			Attempt: 2, Delay: time.Microsecond, Failure: wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: errors.New("refused")}},
		"dial failed: refused; reconnect 2 now": wsnotify.ReconnectEvent{Attempt: 2, Failure: wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: errors.New("refused")}},
		"connection 0 open: ":                   wsnotify.OpenEvent{URL: "ws://[::1/?token=hunter2"},
	} {
		if v.String() != want {
			t.Errorf("%#v prints as\n%s\nand not\n%s", v, v, want)
		}
	}
}

// The end that this side has asked for is no error in the log.
func TestOwnCloseIsNoErrorInTheLog(t *testing.T) {
	var log bytes.Buffer
	cfg := wsnotify.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))}
	inBubble(t, cfg, func(w *world) {
		w.connect()
		w.must(w.c.Disconnect())
		<-w.c.Done()
		if got := log.String(); !strings.Contains(got, "connection closed") || strings.Contains(got, "error=") {
			t.Errorf("the log says\n%s", got)
		}
	})
}

// The log of a life: each event once, with what it is about, on the level that it deserves.
func TestLogOfALife(t *testing.T) {
	var log bytes.Buffer
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	cfg := wsnotify.Config{
		Heartbeat: noText, Resume: bySeq(), Outbox: wsnotify.Outbox{MaxAge: time.Second},
		ShouldReconnect: func(f wsnotify.Failure) bool { return f.Code != 4001 },
		Logger:          slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime})),
	}
	inBubble(t, cfg, func(w *world) {
		wsnotify.Handle(w.c, "a", func(context.Context, wsnotify.Typed[int]) error { return errors.New("no\ndatabase") })
		w.srv.Refuse(1, 503, nil, "")
		conn := w.connect()
		w.send(conn, `{"seq":1,"msgType":"a","content":1}`, `{"seq":5,"msgType":"b","content":1}`, "not JSON")
		w.pass(time.Minute)
		conn.Drop()
		w.pass(time.Second)
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("hello")))
		w.pass(10 * time.Second)
		w.must(w.conn().Close(4001, "bye\n"))
		<-w.c.Done()
		want := strings.Join([]string{
			`level=DEBUG msg="wsnotify: state" from=CLOSED to=CONNECTING epoch=1`,
			`level=DEBUG msg="wsnotify: state" from=CONNECTING to=CLOSED epoch=1`,
			`level=WARN msg="wsnotify: error" error="wsnotify: dialling ws://server/ada: expected 101 Switching Protocols, got 503 Service Unavailable: the server refused the handshake"`,
			`level=INFO msg="wsnotify: reconnecting" attempt=1 delay=10s`,
			`level=DEBUG msg="wsnotify: state" from=CLOSED to=CONNECTING epoch=1`,
			`level=DEBUG msg="wsnotify: state" from=CONNECTING to=OPEN epoch=1`,
			`level=INFO msg="wsnotify: connected" url=ws://server/ada epoch=1 attempt=1`,
			`level=WARN msg="wsnotify: error" error="wsnotify: the handler of \"a\" notifications: no\\ndatabase"`,
			`level=WARN msg="wsnotify: messages are missing" stream="" after=1 next=5 epoch=1`,
			`level=WARN msg="wsnotify: error" error="wsnotify: a message of 8 bytes is not JSON: invalid character 'o' in literal null (expecting 'u')"`,
			`level=DEBUG msg="wsnotify: state" from=OPEN to=CLOSED epoch=1`,
			`level=INFO msg="wsnotify: connection closed" epoch=1 code=1006 reason="" clean=false initiator=network error="wsnotify: the connection was lost: unexpected EOF"`,
			`level=INFO msg="wsnotify: reconnecting" attempt=1 delay=10s`,
			`level=WARN msg="wsnotify: message not delivered" bytes=5 error="wsnotify: the message expired in the outbox"`,
			`level=DEBUG msg="wsnotify: state" from=CLOSED to=CONNECTING epoch=2`,
			`level=DEBUG msg="wsnotify: state" from=CONNECTING to=OPEN epoch=2`,
			`level=INFO msg="wsnotify: connected" url="ws://server/ada?after=xxxxx" epoch=2 attempt=1`,
			`level=DEBUG msg="wsnotify: state" from=OPEN to=CLOSED epoch=2`,
			`level=INFO msg="wsnotify: connection closed" epoch=2 code=4001 reason=bye\n clean=true initiator=remote error="wsnotify: the server closed the connection with 4001: bye\\n"`,
			`level=ERROR msg="wsnotify: giving up" attempts=0 error="wsnotify: the server closed the connection with 4001: bye\\n"`,
		}, "\n") + "\n"
		if got := strings.ReplaceAll(log.String(), w.srv.URL(), "ws://server/"); got != want {
			t.Errorf("the log is\n%s\nand not\n%s", got, want)
		}
	})
}

// Why a client gave up is told before what was lost by it.
func TestTheCauseComesBeforeWhatItCost(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: never}, func(w *world) {
		w.srv.Stop()
		w.must(w.c.Enqueue(wsnotify.MessageText, []byte("hello")))
		w.c.Connect(w.Context(), w.srv.URL(), "ada")
		<-w.c.Done()
		var order []string
		for _, line := range w.journal() {
			for _, word := range []string{"error", "give up", "undelivered"} {
				if strings.Contains(line, " "+word) {
					order = append(order, word)
				}
			}
		}
		if !slices.Equal(order, []string{"error", "give up", "undelivered"}) {
			t.Errorf("the order is %q", order)
		}
	})
}
