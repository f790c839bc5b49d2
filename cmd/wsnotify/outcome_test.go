package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

func TestCloseText(t *testing.T) {
	for _, test := range []struct {
		code   wsnotify.StatusCode
		reason string
		want   string
		odd    bool
	}{
		{1000, "", "1000 (normal)", false},
		{1001, "", "1001 (going away)", false},
		{1002, "", "1002 (protocol error)", true},
		{1003, "", "1003 (unsupported data)", true},
		{1005, "", "1005 (no code)", false},
		{1006, "", "1006 (no close frame)", false},
		{1007, "", "1007 (invalid data)", true},
		{1008, "", "1008 (policy violation)", true},
		{1009, "", "1009 (message too big)", true},
		{1010, "", "1010 (extension missing)", true},
		{1011, "", "1011 (internal error)", true},
		{1012, "", "1012 (service restart)", true},
		{1013, "", "1013 (try again later)", true},
		{1014, "", "1014 (bad gateway)", true},
		{4000, "", "4000", true},
		{1001, "a restart", "1001, a restart", false},
	} {
		if got := closeText(test.code, test.reason); got != test.want || isOdd(test.code) != test.odd {
			t.Errorf("%d %q: %q and odd %v, want %q", test.code, test.reason, got, isOdd(test.code), test.want)
		}
	}
}

// How the program ends when Run has: what is lost decides before why, and a policy that gave up before all.
func TestOutcomeOfRun(t *testing.T) {
	gaveUp := func(attempts int, f wsnotify.Failure) error {
		return &wsnotify.GiveUpError{Attempts: attempts, Failure: f}
	}
	closed := func(code wsnotify.StatusCode) wsnotify.Failure {
		return wsnotify.Failure{Phase: wsnotify.PhaseOpen, Code: code, Err: wsnotify.CloseError{Code: code}}
	}
	refused := wsnotify.Failure{Phase: wsnotify.PhaseHandshake, HTTPStatus: 401, Code: 1006, Err: errors.New("x")}
	down := wsnotify.Failure{Phase: wsnotify.PhaseDial, Code: 1006, Err: errors.New("wsnotify: no route")}
	for _, test := range []struct {
		err  error
		code int
		says string
	}{
		{nil, exitOK, ""},
		{context.Canceled, exitOK, ""},
		{&wsnotify.DrainError{Unhandled: 3, Err: context.DeadlineExceeded}, exitOK, ""},
		{&wsnotify.DrainError{Unsent: 1}, exitFailure, "1 message not sent"},
		{&wsnotify.DrainError{Unsent: 2}, exitFailure, "2 messages not sent"},
		{&wsnotify.DrainError{Unsent: 2, Unconfirmed: 3}, exitFailure, "2 messages not sent, and 3 that may be lost"},
		{&wsnotify.DrainError{Unconfirmed: 1}, exitFailure, "1 message may be lost"},
		{gaveUp(1, closed(1011)), exitFailure, "the server closed with 1011 (internal error)"},
		{gaveUp(1, closed(1008)), exitRefused, "the server closed with 1008 (policy violation)"},
		{gaveUp(1, closed(1001)), exitGaveUp, "the server closed with 1001 (going away)"},
		{gaveUp(2, closed(1011)), exitGaveUp, "no connection after 2 attempts: the server closed with 1011 (internal error)"},
		{gaveUp(1, refused), exitRefused, "no connection: HTTP 401 Unauthorized"},
		{gaveUp(1, down), exitGaveUp, "no connection: no route"},
		{gaveUp(7, down), exitGaveUp, "no connection after 7 attempts: no route"},
		{gaveUp(1, wsnotify.Failure{}), exitGaveUp, "no connection: unknown"},
		{errors.New("wsnotify: Config.Header: bad"), exitUsage, "--header: bad"},
	} {
		got := outcome(test.err)
		if got == nil {
			if test.code != exitOK {
				t.Errorf("%v is no error", test.err)
			}
			continue
		}
		if f := (*failure)(nil); !errors.As(got, &f) || f.code != test.code || got.Error() != test.says {
			t.Errorf("%v: %v, want %d, %s", test.err, got, test.code, test.says)
		}
	}
}

// A failure is a line that says what was wrong, in the words of the flags.
func TestCausesOfFailures(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, test := range []struct {
		f    wsnotify.Failure
		want string
	}{
		{wsnotify.Failure{}, "unknown"},
		{wsnotify.Failure{Err: errors.New("wsnotify: dial: wsnotify: x")}, "dial: x"},
		{wsnotify.Failure{HTTPStatus: 404, Err: &wsnotify.HandshakeError{StatusCode: 404}}, "HTTP 404 Not Found; check the path of the address"},
		{wsnotify.Failure{HTTPStatus: 404, Err: errors.New("x")}, "HTTP 404 Not Found"},
		{wsnotify.Failure{HTTPStatus: 599, Err: errors.New("x")}, "HTTP 599"},
		{wsnotify.Failure{HTTPStatus: 101, Err: errors.New("wsnotify: a wrong key")}, "a wrong key"},
		{wsnotify.Failure{Code: 4000, Reason: "bye", Err: fmt.Errorf("x: %w", wsnotify.CloseError{Code: 4000})}, "the server closed with 4000, bye"},
		{wsnotify.Failure{Phase: wsnotify.PhaseOpen, Code: 1009, Err: errors.New("the server broke the protocol: a message is too big: it has 9 bytes, and ReadLimit is 8")},
			"a message is too big: it has 9 bytes, and --read-limit is 8; raise that"},
		{wsnotify.Failure{Phase: wsnotify.PhaseHandshake, Code: 1009, Err: errors.New("x")}, "x"},
		{wsnotify.Failure{Phase: wsnotify.PhaseOpen, Code: 1002, Err: errors.New("x")}, "x"},
		{wsnotify.Failure{Err: fmt.Errorf("wsnotify: hook: %w", settingError{errors.New("--token-file: gone")})}, "--token-file: gone"},
		{wsnotify.Failure{Err: &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}},
			"the server's certificate can't be verified: x509: certificate signed by unknown authority; if you trust who signed it, name that with --cacert"},
		{wsnotify.Failure{Err: errors.New("wsnotify: remote error: tls: certificate required")},
			"remote error: tls: certificate required; the server wants a certificate of this client: name it with --cert"},
		{wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: refused}, "connection refused; nothing listens at 127.0.0.1:80"},
		{wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: &net.OpError{Op: "proxyconnect", Net: "tcp", Err: refused}},
			"the proxy can't be reached: connection refused; nothing listens at 127.0.0.1:80"},
		{wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, "connection refused"},
		{wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: syscall.ECONNREFUSED}, "connection refused"},
		{wsnotify.Failure{Phase: wsnotify.PhaseOpen, Err: syscall.ECONNREFUSED}, "connection refused"},
		{wsnotify.Failure{Phase: wsnotify.PhaseOpen, Err: refused}, "dial tcp 127.0.0.1:80: connect: connection refused"},
	} {
		if got := cause(test.f); got != test.want {
			t.Errorf("%+v: %s, want %s", test.f, got, test.want)
		}
	}
}

func TestNoticeOfAReconnect(t *testing.T) {
	ev := wsnotify.ReconnectEvent{Attempt: 2, Delay: 1234567 * time.Microsecond, Failure: wsnotify.Failure{Err: errors.New("wsnotify: gone")}}
	if got, want := again(ev), "attempt 2 in 1.235s: gone"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLossesAreToldOnce(t *testing.T) {
	var said []string
	g := &outgoing{untold: 2, told: 3, say: func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }}
	g.reportLost()
	g.reportLost()
	if want := "[of what was sent, 2 messages may be lost]"; fmt.Sprint(said) != want || g.told != 5 {
		t.Errorf("it said %q, and told of %d", said, g.told)
	}
}

// What was read in full decides first; of what is left, the most telling is said.
func TestResultOfSending(t *testing.T) {
	client := wsnotify.New(wsnotify.Config{})
	late, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	bad := errors.New("the server closed with 1011")
	for _, test := range []struct {
		g     *outgoing // nil: one that has done nothing
		ctx   context.Context
		ended error
		err   error
		want  string // "": success
		more  []string
	}{
		{},
		{ctx: canceled, ended: context.Canceled},
		{err: bad, want: bad.Error()},
		{err: bad, ended: context.Canceled},
		{g: &outgoing{ended: true}, ended: context.Canceled},
		{g: &outgoing{refused: 1}, want: "1 message not sent"},
		{g: &outgoing{refused: 2, lost: 3}, want: "2 messages not sent, and 3 that may be lost"},
		{g: &outgoing{lost: 2}, want: "2 messages may be lost"},
		{g: &outgoing{lost: 2, ours: true}, want: "2 messages may be lost: the server has not answered"},
		{g: &outgoing{lost: 1, ours: true, unsent: []string{"may be lost: x"}}, want: "1 message may be lost", more: []string{"may be lost: x"}},
		{g: &outgoing{lost: 1, untold: 1}, want: "1 message may be lost"},
		{g: &outgoing{bad: bad, refused: 1, lost: 1}, want: bad.Error()},
		{g: &outgoing{bad: bad, untold: 2, unsent: []string{"a"}, behind: []string{"b"}}, want: bad.Error(), more: []string{"of what was sent, 2 messages may be lost", "a", "b"}},
		{ctx: late, want: "no connection within 3s"},
		{g: &outgoing{opened: true}, ctx: late, want: "not all was sent within 3s"},
		{g: &outgoing{isAllSent: true}, ctx: late, want: "the server has not answered within 3s"},
		{ended: &wsnotify.DrainError{Unsent: 1}, want: "1 message not sent"},
		{g: &outgoing{bad: bad}, ended: &wsnotify.DrainError{Unsent: 1}, want: "1 message not sent"},
		{g: &outgoing{first: &wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: bad}, ended: true}, ended: context.Canceled, want: "no connection: " + bad.Error()},
		{g: &outgoing{first: &wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: bad}, ended: true, unsent: []string{"x"}}, ended: &wsnotify.DrainError{Unsent: 1, Err: context.DeadlineExceeded}, want: "no connection: " + bad.Error(), more: []string{"x"}},
		{g: &outgoing{first: &wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: bad}, ended: true}, ctx: canceled, ended: context.Canceled},
		{g: &outgoing{first: &wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: bad}, ended: true, opened: true}, ended: context.Canceled},
		{g: &outgoing{first: &wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: bad}}, ended: context.Canceled},
	} {
		g := test.g
		if g == nil {
			g = new(outgoing)
		}
		g.client, g.conn = client, &connection{timeout: 3 * time.Second}
		ctx := test.ctx
		if ctx == nil {
			ctx = t.Context()
		}
		got, says := g.result(ctx, test.ended, test.err), ""
		var more []string
		if got != nil {
			says = got.Error()
			if f := (*failure)(nil); errors.As(got, &f) {
				more = f.details
			}
		}
		if says != test.want || fmt.Sprint(more) != fmt.Sprint(test.more) {
			t.Errorf("ended %v, err %v, refused %d, lost %d: %q %q, want %q %q", test.ended, test.err, g.refused, g.lost, says, more, test.want, test.more)
		}
	}
}

// How listen ends: an output that fails decides, then what has come, and then the time.
func TestOutcomeOfListening(t *testing.T) {
	broken := errors.New("no space left")
	down := &wsnotify.Failure{Phase: wsnotify.PhaseDial, Err: errors.New("wsnotify: no route")}
	late := context.DeadlineExceeded
	for _, test := range []struct {
		l      listener
		err    error
		status wsnotify.Status
		code   int
		says   string
	}{
		{code: exitOK},
		{err: context.Canceled, code: exitOK},
		{l: listener{limit: 2, seen: 2}, err: late, code: exitOK},
		{l: listener{limit: 2, seen: 2, broken: broken}, code: exitFailure, says: "writing: no space left"},
		{l: listener{limit: 2, seen: 1}, err: late, status: wsnotify.Status{Epoch: 1}, code: exitTimeout, says: "1 of 2 notifications came within 3s"},
		{l: listener{seen: 1}, err: late, status: wsnotify.Status{Epoch: 1}, code: exitOK},
		{err: late, code: exitTimeout, says: "no connection within 3s"},
		{err: late, status: wsnotify.Status{LastFailure: down}, code: exitTimeout, says: "no connection within 3s: no route"},
		{l: listener{limit: 2, seen: 1}, err: &wsnotify.GiveUpError{Attempts: 1, Failure: *down}, code: exitGaveUp, says: "no connection: no route"},
	} {
		test.l.conn.timeout = 3 * time.Second
		err := test.l.outcome(test.err, test.status)
		code, says := exitOK, ""
		if err != nil {
			code, says = exitFailure, err.Error()
			if f := (*failure)(nil); errors.As(err, &f) {
				code = f.code
			}
		}
		if code != test.code || says != test.says {
			t.Errorf("%d of %d, %v: %d %q, want %d %q", test.l.seen, test.l.limit, test.err, code, says, test.code, test.says)
		}
	}
}
