package wsnotify_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// eachHandler calls f with a logger of every kind of handler, and what it wrote.
func eachHandler(f func(kind string, logger *slog.Logger, written *bytes.Buffer)) {
	opts := &slog.HandlerOptions{Level: slog.LevelDebug}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, opts) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, opts) },
	} {
		var written bytes.Buffer
		f(name, slog.New(handler(&written)), &written)
	}
}

// Events, failures and Status say the same in a log of text or JSON and as JSON:
// states by name, causes as text, no secret and nothing that a terminal obeys.
func TestEventsInLogsAndJSON(t *testing.T) {
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	failure := wsnotify.Failure{
		Phase: wsnotify.PhaseOpen, Initiator: wsnotify.Remote, Code: 4001, Reason: "\u009b2Jbye\u202e", Uptime: 1500 * time.Millisecond,
		Err: errors.New("wsnotify: it said \u202e"),
	}
	for name, test := range map[string]struct {
		v          any
		text, json string
	}{
		"StateChange": {wsnotify.StateChange{From: wsnotify.Open, To: wsnotify.Closed, Epoch: 2, Cause: wsnotify.ErrHeartbeatTimeout},
			`v.from=OPEN v.to=CLOSED v.epoch=2 v.cause="wsnotify: no answer to the heartbeat"`,
			`{"from":"OPEN","to":"CLOSED","epoch":2,"cause":"wsnotify: no answer to the heartbeat"}`},
		"StateChange that this side asked for": {wsnotify.StateChange{From: wsnotify.Closed, To: wsnotify.Connecting, Epoch: 1},
			"v.from=CLOSED v.to=CONNECTING v.epoch=1", `{"from":"CLOSED","to":"CONNECTING","epoch":1}`},
		"OpenEvent": {wsnotify.OpenEvent{Epoch: 1, URL: "wss://ada:hunter2@h/ws?token=hunter2", Subprotocol: "hunter2", Header: http.Header{"Set-Cookie": {"hunter2"}}},
			`v.epoch=1 v.attempt=0 v.url="wss://ada:xxxxx@h/ws?token=xxxxx"`,
			`{"epoch":1,"attempt":0,"url":"wss://ada:xxxxx@h/ws?token=xxxxx"}`},
		"CloseEvent": {wsnotify.CloseEvent{Epoch: 3, Code: 4001, Reason: failure.Reason, WasClean: true, WillReconnect: true, Failure: failure},
			`v.epoch=3 v.code=4001 v.reason=\u009b2Jbye\u202e v.wasClean=true v.willReconnect=true v.failure.phase=open v.failure.initiator=remote ` +
				`v.failure.code=4001 v.failure.reason=\u009b2Jbye\u202e v.failure.uptime=1.5s v.failure.error="wsnotify: it said \\u202e"`,
			`{"epoch":3,"code":4001,"reason":"\\u009b2Jbye\\u202e","wasClean":true,"willReconnect":true,"failure":{"phase":"open","initiator":"remote",` +
				`"code":4001,"reason":"\\u009b2Jbye\\u202e","uptime":"1.5s","error":"wsnotify: it said \\u202e"}}`},
		"ReconnectEvent": {wsnotify.ReconnectEvent{Attempt: 2, Delay: 10 * time.Second, Failure: wsnotify.Failure{
			Phase: wsnotify.PhaseHandshake, Initiator: wsnotify.Remote, Code: -1, HTTPStatus: 503, RetryAfter: 7 * time.Second, Err: errors.New("busy")}},
			"v.attempt=2 v.delay=10s v.failure.phase=handshake v.failure.initiator=remote v.failure.httpStatus=503 v.failure.retryAfter=7s v.failure.error=busy",
			`{"attempt":2,"delay":"10s","failure":{"phase":"handshake","initiator":"remote","httpStatus":503,"retryAfter":"7s","error":"busy"}}`},
		"GiveUpError": {&wsnotify.GiveUpError{Attempts: 7, Failure: wsnotify.Failure{Phase: wsnotify.PhaseDial, Initiator: wsnotify.Network, Code: -1, Err: errors.New("refused")}},
			"v.attempts=7 v.failure.phase=dial v.failure.initiator=network v.failure.error=refused",
			`{"attempts":7,"failure":{"phase":"dial","initiator":"network","error":"refused"}}`},
		"no GiveUpError": {(*wsnotify.GiveUpError)(nil), "v=<nil>", "null"},
		"Failure": {wsnotify.Failure{Phase: wsnotify.PhaseHook, Code: -1},
			"v.phase=hook v.initiator=local", `{"phase":"hook","initiator":"local"}`},
		"Gap": {wsnotify.Gap{Stream: "orders\u202e", After: "7", Next: "9", Epoch: 2},
			`v.stream=orders\u202e v.after=7 v.next=9 v.epoch=2`, `{"stream":"orders\\u202e","after":"7","next":"9","epoch":2}`},
		"SubscriptionStatus": {wsnotify.SubscriptionStatus{Key: "btc", State: wsnotify.SubscriptionRefused, Since: at, Err: errors.New("no such key")},
			`v.key=btc v.state=refused v.since=2026-05-04T03:02:01.000Z v.error="no such key"`,
			`{"key":"btc","state":"refused","since":"2026-05-04T03:02:01Z","error":"no such key"}`},
		"SubscriptionStatus without an error": {wsnotify.SubscriptionStatus{Key: "btc"}, "v.key=btc v.state=wanted", `{"key":"btc","state":"wanted"}`},
		"Status": {wsnotify.Status{
			ReadyState: wsnotify.Closed, Epoch: 4, ReconnectAttempts: 2, NextAttempt: at, GaveUp: true, LastFailure: &failure, LastReceived: at.Add(time.Second), RTT: 3 * time.Millisecond,
			MessagesIn: 1, MessagesOut: 2, BytesIn: 3, BytesOut: 4, Failures: wsnotify.FailureCounts{Dial: 5}, FailuresRetried: wsnotify.FailureCounts{Dial: 6},
			UndeliveredBy: wsnotify.UndeliveredCounts{OutboxFull: 7}, Limited: true, CallbackSince: at,
		},
			`v.readyState=CLOSED v.epoch=4 v.reconnectAttempts=2 v.nextAttempt=2026-05-04T03:02:01.000Z v.gaveUp=true v.lastFailure.phase=open v.lastFailure.initiator=remote ` +
				`v.lastFailure.code=4001 v.lastFailure.reason=\u009b2Jbye\u202e v.lastFailure.uptime=1.5s v.lastFailure.error="wsnotify: it said \\u202e" ` +
				`v.lastReceived=2026-05-04T03:02:02.000Z v.rtt=3ms v.messagesIn=1 v.messagesOut=2 v.bytesIn=3 v.bytesOut=4 ` +
				`v.failures.hook=0 v.failures.dial=5 v.failures.refused=0 v.failures.lost=0 v.failures.heartbeat=0 v.failures.closed=0 v.failures.violation=0 v.failures.requested=0 ` +
				`v.failuresRetried.hook=0 v.failuresRetried.dial=6 v.failuresRetried.refused=0 v.failuresRetried.lost=0 v.failuresRetried.heartbeat=0 v.failuresRetried.closed=0 v.failuresRetried.violation=0 v.failuresRetried.requested=0 ` +
				`v.connections=0 v.reconnects=0 v.queued=0 v.unconfirmed=0 v.resent=0 v.subscriptions.wanted=0 v.subscriptions.active=0 v.subscriptions.refused=0 v.duplicates=0 v.gaps=0 ` +
				`v.limited=true v.undelivered=0 v.undeliveredBy.closed=0 v.undeliveredBy.expired=0 v.undeliveredBy.outboxFull=7 v.undeliveredBy.unconfirmed=0 ` +
				`v.inboxQueued=0 v.inboxBytes=0 v.callbackSince=2026-05-04T03:02:01.000Z v.unhandled=0`,
			`{"readyState":"CLOSED","epoch":4,"reconnectAttempts":2,"nextAttempt":"2026-05-04T03:02:01Z","gaveUp":true,"lastFailure":{"phase":"open","initiator":"remote",` +
				`"code":4001,"reason":"\\u009b2Jbye\\u202e","uptime":"1.5s","error":"wsnotify: it said \\u202e"},` +
				`"lastReceived":"2026-05-04T03:02:02Z","rtt":"3ms","messagesIn":1,"messagesOut":2,"bytesIn":3,"bytesOut":4,` +
				`"failures":{"hook":0,"dial":5,"refused":0,"lost":0,"heartbeat":0,"closed":0,"violation":0,"requested":0},` +
				`"failuresRetried":{"hook":0,"dial":6,"refused":0,"lost":0,"heartbeat":0,"closed":0,"violation":0,"requested":0},` +
				`"connections":0,"reconnects":0,"queued":0,"unconfirmed":0,"resent":0,"subscriptions":{"wanted":0,"active":0,"refused":0},"duplicates":0,"gaps":0,` +
				`"limited":true,"undelivered":0,"undeliveredBy":{"closed":0,"expired":0,"outboxFull":7,"unconfirmed":0},` +
				`"inboxQueued":0,"inboxBytes":0,"callbackSince":"2026-05-04T03:02:01Z","unhandled":0}`},
		"Status of a new client": {wsnotify.New(wsnotify.Config{}).Status(),
			`v.readyState=CLOSED v.epoch=0 v.reconnectAttempts=0 v.gaveUp=false v.messagesIn=0 v.messagesOut=0 v.bytesIn=0 v.bytesOut=0 ` +
				`v.failures.hook=0 v.failures.dial=0 v.failures.refused=0 v.failures.lost=0 v.failures.heartbeat=0 v.failures.closed=0 v.failures.violation=0 v.failures.requested=0 ` +
				`v.failuresRetried.hook=0 v.failuresRetried.dial=0 v.failuresRetried.refused=0 v.failuresRetried.lost=0 v.failuresRetried.heartbeat=0 v.failuresRetried.closed=0 v.failuresRetried.violation=0 v.failuresRetried.requested=0 ` +
				`v.connections=0 v.reconnects=0 v.queued=0 v.unconfirmed=0 v.resent=0 v.subscriptions.wanted=0 v.subscriptions.active=0 v.subscriptions.refused=0 v.duplicates=0 v.gaps=0 ` +
				`v.limited=false v.undelivered=0 v.undeliveredBy.closed=0 v.undeliveredBy.expired=0 v.undeliveredBy.outboxFull=0 v.undeliveredBy.unconfirmed=0 ` +
				`v.inboxQueued=0 v.inboxBytes=0 v.unhandled=0`,
			`{"readyState":"CLOSED","epoch":0,"reconnectAttempts":0,"gaveUp":false,"messagesIn":0,"messagesOut":0,"bytesIn":0,"bytesOut":0,` +
				`"failures":{"hook":0,"dial":0,"refused":0,"lost":0,"heartbeat":0,"closed":0,"violation":0,"requested":0},` +
				`"failuresRetried":{"hook":0,"dial":0,"refused":0,"lost":0,"heartbeat":0,"closed":0,"violation":0,"requested":0},` +
				`"connections":0,"reconnects":0,"queued":0,"unconfirmed":0,"resent":0,"subscriptions":{"wanted":0,"active":0,"refused":0},"duplicates":0,"gaps":0,` +
				`"limited":false,"undelivered":0,"undeliveredBy":{"closed":0,"expired":0,"outboxFull":0,"unconfirmed":0},` +
				`"inboxQueued":0,"inboxBytes":0,"unhandled":0}`},
		"Failure with a code that has a name": {wsnotify.Failure{Phase: wsnotify.PhaseOpen, Code: 1001, Uptime: time.Minute},
			"v.phase=open v.initiator=local v.code=1001 v.uptime=1m0s", `{"phase":"open","initiator":"local","code":1001,"uptime":"1m0s"}`},
		"states, a phase, an initiator": {struct{ S, P, I, K any }{wsnotify.Closing, wsnotify.PhaseDial, wsnotify.Network, wsnotify.SubscriptionSent},
			`v="{S:CLOSING P:dial I:network K:sent}"`, `{"S":"CLOSING","P":"dial","I":"network","K":"sent"}`},
	} {
		eachHandler(func(kind string, logger *slog.Logger, written *bytes.Buffer) {
			logger.Info("x", "v", test.v)
			want := test.text
			if kind == "JSON" {
				want = `,"v":` + test.json + "}"
			}
			if got := strings.TrimSuffix(written.String(), "\n"); !strings.HasSuffix(got, want) {
				t.Errorf("%s is logged as\n%s\nand not\n%s", name, got, want)
			}
		})
		if got, err := json.Marshal(test.v); err != nil || string(got) != test.json {
			t.Errorf("%s is\n%s\nand not\n%s, %v", name, got, test.json, err)
		}
	}
	if got, err := json.Marshal(wsnotify.SubscriptionStatus{Key: "btc", Since: at.AddDate(8000, 0, 0)}); err == nil {
		t.Errorf("a time that JSON does not know is written as %s", got)
	}
}

// usual are the ways in which a server may repeat a secret.
var usual = map[string]func(string) string{
	"as it is": func(s string) string { return s },
	"percent":  url.QueryEscape,
	"HTML":     html.EscapeString,
	"JSON":     func(s string) string { b, _ := json.Marshal(s); return string(b[1 : len(b)-1]) },
	"Go":       func(s string) string { q := strconv.QuoteToASCII(s); return q[1 : len(q)-1] },
	"JSON in Go": func(s string) string {
		b, _ := json.Marshal(s)
		return strconv.QuoteToASCII(string(b))
	},
	"all percent": func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%%02X", s[i])
		}
		return b.String()
	},
}

// A server repeats the secrets of the request in every place that it has, in
// every usual spelling. None of it reaches an error, a wrapped one included, an
// event that is printed, logged or marshalled, or the log.
func TestSecretsThatAServerRepeats(t *testing.T) {
	const secret = `hunt/er<2>&"大"` // as it is in the address, a header, a cookie and a subprotocol
	const plain = "hunter2-token"
	places := map[string]func(p *rawPeer, request, said string){
		"close reason": func(p *rawPeer, request, said string) {
			p.write(switching(request))
			p.frames(closeFrame(4001, said))
			p.closed()
		},
		"refusal's body": func(p *rawPeer, _, said string) { p.write(response(400, `{"error":"`+said+`"}`)) },
		"refusal's page": func(p *rawPeer, _, said string) { p.write(response(404, "<html><title>"+said+"</title></html>")) },
		"status": func(p *rawPeer, _, said string) {
			p.write("HTTP/1.1 " + strings.ReplaceAll(said, "\n", "") + "\r\n\r\n")
		},
		"no HTTP": func(p *rawPeer, request, said string) {
			p.write(strings.ReplaceAll(request+said, "HTTP/1.1\r\n", "HTTP/1.1 x\r\n"))
		},
		"echo": func(p *rawPeer, request, _ string) { p.write(request) },
		"subprotocols": func(p *rawPeer, request, _ string) {
			p.write(switching(request, "Sec-WebSocket-Protocol: "+headerFields(request, "Sec-WebSocket-Protocol")[0]))
		},
		"Upgrade": func(p *rawPeer, request, said string) {
			p.write(strings.Replace(switching(request), "Upgrade: websocket", "Upgrade: "+said, 1))
		},
		"Location": func(p *rawPeer, request, said string) {
			p.write(response(302, "", "Location: /login/"+said+"?next="+said))
		},
	}
	for place, script := range places {
		for spelling, spell := range usual {
			t.Run(place+", "+spelling, func(t *testing.T) {
				jar, _ := cookiejar.New(nil)
				jar.SetCookies(mustParse("http://server.test/"), []*http.Cookie{{Name: "sid", Value: "hunter2-cookie"}})
				var shown []string
				note := func(v any) {
					raw, err := json.Marshal(v)
					if _, plain := v.(error); err != nil && !plain {
						t.Error(err)
					}
					shown = append(shown, fmt.Sprint(v), fmt.Sprintf("%+v", v), string(raw))
					if err, ok := v.(error); ok {
						shown = append(shown, textsOf(err)...)
					}
				}
				var text, asJSON bytes.Buffer
				debug := &slog.HandlerOptions{Level: slog.LevelDebug}
				events := slog.New(slog.NewJSONHandler(&asJSON, debug))
				cfg := wsnotify.Config{
					BackOff: never, Subprotocols: []string{"v1", "hunter2-subprotocol"},
					HTTPClient:     &http.Client{Jar: jar, Transport: &http.Transport{}},
					Header:         http.Header{"Authorization": {"Bearer " + plain}},
					Logger:         slog.New(slog.NewTextHandler(&text, debug)),
					OnError:        func(err error) { note(err) },
					OnGiveUp:       func(err *wsnotify.GiveUpError) { note(err); events.Info("give up", "v", err) },
					OnClose:        func(ev wsnotify.CloseEvent) { note(ev); note(ev.Failure.Err); events.Info("close", "v", ev) },
					OnOpen:         func(ev wsnotify.OpenEvent) { note(ev); events.Info("open", "v", ev) },
					OnReconnecting: func(ev wsnotify.ReconnectEvent) { note(ev); events.Info("again", "v", ev) },
					OnStateChange:  func(ev wsnotify.StateChange) { note(ev); events.Info("state", "v", ev) },
				}
				if place == "close reason" {
					cfg.Subprotocols = nil
				}
				inRawBubble(t, cfg, func(p *rawPeer) {
					request := p.request()
					said := spell(secret) + " " + spell(plain) + " hunter2-cookie"
					if place == "close reason" && len(said) > 123 {
						said = spell(secret)
						said = said[:min(len(said), 123)]
					}
					script(p, request, said)
				}, func(w *world, _ *rawNet) {
					err := w.c.Connect(w.Context(), "ws://server.test/ws/?token="+url.QueryEscape(secret), "")
					<-w.c.Done()
					if err != nil {
						note(err)
					}
					note(w.c.Status())
					events.Info("status", "v", w.c.Status())
				})
				shown = append(shown, text.String(), asJSON.String())
				for _, text := range shown {
					for _, part := range []string{"hunt/er", "hunt%2Fer", "hunt%2fer", `er<2`, "er%3C2", "er&lt;2", `er\u003c2`, "hunter2", "%68%75%6E%74", "%48%55"} {
						if strings.Contains(text, part) {
							t.Fatalf("%q is shown in\n%s", part, text)
						}
					}
				}
			})
		}
	}
}

// textsOf are the texts of an error and of all that it wraps, as far as this
// package has made them.
func textsOf(err error) (texts []string) {
	for ; err != nil; err = errors.Unwrap(err) {
		var closed wsnotify.CloseError
		if errors.As(err, &closed) {
			texts = append(texts, closed.Error())
		}
		texts = append(texts, err.Error())
		if strings.HasPrefix(fmt.Sprintf("%T", err), "*handshake.") { // below it is what it hides
			break
		}
	}
	return texts
}

// The name of a stream is the server's.
func TestLogOfAGapIsEscaped(t *testing.T) {
	eachHandler(func(kind string, logger *slog.Logger, written *bytes.Buffer) {
		at := 0
		cfg := wsnotify.Config{Heartbeat: noText, Logger: logger, Resume: wsnotify.Resume{
			Order:    wsnotify.PositionConsecutive,
			Position: func(m wsnotify.Message) (stream, position string) { at += 2; return string(m.Data), fmt.Sprint(at) },
		}}
		inBubble(t, cfg, func(w *world) {
			conn := w.connect()
			w.must(conn.SendText("a\u009b2J\u202eb"))
			w.must(conn.SendText("a\u009b2J\u202eb"))
			w.pass(time.Second)
			if !strings.Contains(written.String(), "messages are missing") || strings.ContainsAny(written.String(), "\u009b\u202e") {
				t.Errorf("%s: the log is %s", kind, written)
			}
		})
	})
}
