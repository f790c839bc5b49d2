package wsnotify_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// When 2,000 clients come back to a server, the busiest 100 ms see at most
// three times the mean, however long it was away. That is said of the average
// herd, since each is random.
func TestExponentialSpreadsAHerd(t *testing.T) {
	const herds, clients, bucket = 10, 2000, 100 * time.Millisecond
	for _, away := range []time.Duration{time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, time.Minute} {
		sum := 0.0
		for range herds {
			buckets := map[time.Duration]int{}
			for range clients {
				b := wsnotify.Exponential(0, 0, -1)()
				b.Reset()
				at := time.Duration(0)
				for at < away {
					at += b.NextBackOff()
				}
				buckets[(at-away)/bucket]++
			}
			var last time.Duration
			busiest := 0
			for at, n := range buckets {
				last, busiest = max(last, at), max(busiest, n)
			}
			sum += float64(busiest) * float64(last+1) / clients
		}
		if ratio := sum / herds; ratio > 3 {
			t.Errorf("away for %v: the busiest %v see %.2f times the mean", away, bucket, ratio)
		}
	}
}

func TestExponentialStaysBelowItsCap(t *testing.T) {
	const max = 10 * time.Second
	firsts := map[time.Duration]bool{}
	for range 200 {
		b := wsnotify.Exponential(500*time.Millisecond, max, -1)()
		b.Reset()
		firsts[b.NextBackOff().Truncate(10*time.Millisecond)] = true
		late := map[time.Duration]bool{}
		for i := range 50 {
			d := b.NextBackOff()
			if d <= 0 || d > max {
				t.Fatalf("the wait %d is %v", i, d)
			}
			if i > 10 {
				late[d] = true
				if d < max/4 {
					t.Fatalf("the late wait %d is %v", i, d)
				}
			}
		}
		if len(late) < 30 {
			t.Fatalf("the jitter does not survive the cap: %v", late)
		}
	}
	if len(firsts) < 20 {
		t.Errorf("the first retry is not spread: %v", firsts)
	}
	for _, retries := range []int{0, 1, 3} {
		b := wsnotify.Exponential(0, 0, retries)()
		for range 2 {
			n := 0
			for b.NextBackOff() != backoff.Stop {
				n++
			}
			if n != retries {
				t.Errorf("%d retries and not %d", n, retries)
			}
			b.Reset()
		}
	}
}

// On average the waits grow by half, up to two thirds of the longest, from which the jitter reaches that.
func TestExponentialGrowsByHalf(t *testing.T) {
	const policies = 4000
	var sums [12]float64
	for range policies {
		b := wsnotify.Exponential(200*time.Millisecond, 6*time.Second, -1)()
		for i := range sums {
			sums[i] += b.NextBackOff().Seconds()
		}
	}
	want := 0.2
	for i, sum := range sums {
		if mean := sum / policies; mean < 0.95*want || mean > 1.05*want {
			t.Errorf("wait %d is %.3f s on average, want %.3f s", i+1, mean, want)
		}
		want = min(want*1.5, 4)
	}
}

func TestExponentialDefaults(t *testing.T) {
	b := wsnotify.Exponential(0, 0, -1)()
	longest := time.Duration(0)
	for range 10_000 {
		longest = max(longest, b.NextBackOff())
	}
	if longest > 10*time.Second || longest < 9900*time.Millisecond {
		t.Errorf("the longest wait is %v", longest)
	}
}

// A policy of the user's own is two methods. Any negative wait gives up.
func TestBackOffOfTheUsersOwn(t *testing.T) {
	for _, end := range []time.Duration{wsnotify.Stop, -time.Hour} {
		waits := []time.Duration{time.Second, 0, 2 * time.Second, end}
		resets := 0
		inBubble(t, wsnotify.Config{BackOff: func() wsnotify.BackOff {
			return &policy{reset: func() { resets++ }, next: func() time.Duration { d := waits[0]; waits = waits[1:]; return d }}
		}}, func(w *world) {
			w.srv.Stop()
			err := w.c.Connect(bg, w.srv.URL(), "ada")
			var gaveUp *wsnotify.GiveUpError
			if d := time.Since(w.start); !errors.As(err, &gaveUp) || gaveUp.Attempts != 4 || d != 3*time.Second || resets != 1 {
				t.Errorf("%v after %v and %d resets", err, d, resets)
			}
		})
	}
}

// A token that has expired costs one refusal; a fresh one that is refused is
// the end. One function serves many clients.
func TestRetryOnce(t *testing.T) {
	retry := wsnotify.RetryOnce(401, 419)
	const opens = 0
	for _, test := range []struct {
		name    string
		answers []int // of the server; the connection that opens is lost again
		dials   int
		gaveUp  bool
	}{
		{"a second one in a row", []int{401, 401, opens}, 2, true},
		{"two kinds in a row", []int{401, 419, opens}, 2, true},
		{"one", []int{401, opens}, 2, false},
		{"another failure between", []int{401, 503, 401, opens}, 4, false},
		{"a connection between", []int{401, opens, 401, opens}, 4, false},
		{"a status that is not asked for", []int{401, 403, opens}, 2, true},
	} {
		inBubble(t, wsnotify.Config{ShouldReconnect: retry}, func(w *world) {
			dials := 0
			w.srv.OnHandshake(func(*http.Request) (int, http.Header) {
				dials++
				return test.answers[dials-1], nil
			})
			err := w.c.Connect(w.Context(), w.srv.URL(), "ada")
			for err == nil && dials < len(test.answers) {
				w.conn().Drop()
				w.pass(time.Minute)
			}
			if w.pass(0); dials != test.dials || w.c.Status().GaveUp != test.gaveUp {
				t.Errorf("%s: %d dials, gave up: %v, %v", test.name, dials, w.c.Status().GaveUp, err)
			}
		})
	}
}

// Clients that share the function don't count each other's refusals.
func TestRetryOnceIsSharedByClients(t *testing.T) {
	statuses := []int{401}
	retry := wsnotify.RetryOnce(statuses...)
	statuses[0] = 0 // which are the caller's
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.srv.Refuse(2, 401, nil, "")
		cfg := wsnotify.Config{HTTPClient: w.net.HTTPClient(), ShouldReconnect: retry}
		one, two := wsnotify.New(cfg), wsnotify.New(cfg)
		errs := make(chan error, 2)
		for _, c := range []*wsnotify.Client{one, two} {
			go func() { errs <- c.Connect(context.Background(), w.srv.URL(), "ada") }()
		}
		for range 2 {
			w.must(<-errs)
		}
		one.Disconnect()
		two.Disconnect()
		<-one.Done()
		<-two.Done()
	})
}

// Of a Failure that no client made only the function knows what came before.
func TestRetryOnceOfFailuresMadeByHand(t *testing.T) {
	retry := wsnotify.RetryOnce(401)
	for i, step := range []struct {
		failure wsnotify.Failure
		again   bool
	}{
		{wsnotify.Failure{HTTPStatus: 401}, true},
		{wsnotify.Failure{HTTPStatus: 401}, false},
		{wsnotify.Failure{HTTPStatus: 503}, true},
		{wsnotify.Failure{HTTPStatus: 401}, true},
		{wsnotify.Failure{Code: 1006}, true},
		{wsnotify.Failure{HTTPStatus: 401}, true},
		{wsnotify.Failure{HTTPStatus: 404}, false},
		{wsnotify.Failure{Code: 1008}, false},
	} {
		if again := retry(step.failure); again != step.again {
			t.Errorf("step %d: %v", i, again)
		}
	}
	if none := wsnotify.RetryOnce(); none(wsnotify.Failure{HTTPStatus: 401}) || !none(wsnotify.Failure{Code: 1006}) {
		t.Error("without statuses it is not FailFast")
	}
}

// A certificate whose time has not come is one of a machine whose clock is not
// set yet, and the text of crypto/x509 is what tells it from one that has
// expired. Where the operating system verifies there is no such text.
func TestFailFastWaitsForTheClock(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	of := func(from, to time.Time, detail string) error {
		cert := &x509.Certificate{NotBefore: from, NotAfter: to}
		return &tls.CertificateVerificationError{
			UnverifiedCertificates: []*x509.Certificate{cert},
			Err:                    x509.CertificateInvalidError{Cert: cert, Reason: x509.Expired, Detail: detail},
		}
	}
	for name, test := range map[string]struct {
		err   error
		again bool
	}{
		"early, by a clock of the user's": {of(past, future, "current time 1 is before 2"), true},
		"late, by a clock of the user's":  {of(past, future, "current time 2 is after 1"), false},
		"early, and it is not said":       {of(future, future, ""), true},
		"late, and it is not said":        {of(past, past, ""), false},
		"early, in an operating system's words": {&tls.CertificateVerificationError{
			UnverifiedCertificates: []*x509.Certificate{{NotBefore: future}}, Err: errors.New("x509: it is not trusted")}, true},
		"another fault": {&tls.CertificateVerificationError{
			UnverifiedCertificates: []*x509.Certificate{{NotBefore: past}}, Err: x509.HostnameError{}}, false},
		"none to look at": {&tls.CertificateVerificationError{Err: errors.New("x509: no")}, false},
	} {
		if again := wsnotify.FailFast(wsnotify.Failure{Code: -1, Err: test.err}); again != test.again {
			t.Errorf("%s: %v", name, again)
		}
	}
}

// A policy of backoff/v4 with a MaxElapsedTime, which its own default has (15
// min), limits how long attempts fail. The time for which a connection
// was open before it was lost is no part of that.
func TestPolicyWithElapsedTimeSurvivesALongConnection(t *testing.T) {
	for name, test := range map[string]struct {
		stable time.Duration
		end    func(*wsnotify.Client, *wsnotifytest.Conn)
	}{
		"the server drops it":                  {0, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.Drop() }},
		"the server drops it, StableAfter":     {time.Minute, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.Drop() }},
		"Reconnect on a healthy connection":    {0, func(c *wsnotify.Client, _ *wsnotifytest.Conn) { c.Reconnect() }},
		"Reconnect, StableAfter":               {time.Minute, func(c *wsnotify.Client, _ *wsnotifytest.Conn) { c.Reconnect() }},
		"the server restarts, close with 1012": {0, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.Close(1012, "") }},
		"the link falls silent":                {0, func(_ *wsnotify.Client, conn *wsnotifytest.Conn) { conn.BlackHole(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, wsnotify.Config{
				BackOff:     func() wsnotify.BackOff { return backoff.NewExponentialBackOff() },
				StableAfter: test.stable,
			}, func(w *world) {
				conn := w.connect()
				w.pass(16 * time.Minute) // all is well
				test.end(w.c, conn)
				w.pass(30 * time.Second)
				if w.c.Err() != nil || !w.c.IsConnected() {
					t.Errorf("30 s later it is %v: %v", w.c.ReadyState(), w.c.Err())
				}
			})
		})
	}
}

// A connection that did not last resets nothing, also not the policy's clock.
func TestPolicyWithElapsedTimeCountsConnectionsThatDoNotLast(t *testing.T) {
	inBubble(t, wsnotify.Config{
		BackOff:     func() wsnotify.BackOff { return backoff.NewExponentialBackOff() },
		StableAfter: time.Minute,
	}, func(w *world) {
		w.srv.OnConn(func(conn *wsnotifytest.Conn) {
			go func() { time.Sleep(30 * time.Second); conn.Drop() }()
		})
		w.must(w.c.Connect(bg, w.srv.URL(), "ada"))
		w.pass(17 * time.Minute)
		if !w.c.Status().GaveUp {
			t.Errorf("%+v", w.c.Status())
		}
		w.srv.OnConn(nil)
	})
}

// Every method that ends or begins something may be called where the client asks
// for a decision. It gets its answer, and so does the client.
func TestMethodsWhereTheClientAsks(t *testing.T) {
	var w *world
	for method, call := range map[string]func(context.Context) error{
		"Reconnect":  func(context.Context) error { return w.c.Reconnect() },
		"Disconnect": func(context.Context) error { return w.c.Disconnect() },
		"Close":      func(ctx context.Context) error { return w.c.CloseWith(ctx, 4000, "") },
		"Drain":      func(ctx context.Context) error { return w.c.Drain(ctx) },
		"Connect":    func(ctx context.Context) error { return w.c.Connect(ctx, w.srv.URL(), "ada") },
		"Run":        func(ctx context.Context) error { return w.c.Run(ctx, w.srv.URL(), "ada") },
		"Flush":      func(ctx context.Context) error { return w.c.Flush(ctx) },
		"WaitFor":    func(ctx context.Context) error { return w.c.WaitFor(ctx, wsnotify.Open) },
		"Ping":       func(ctx context.Context) error { _, err := w.c.Ping(ctx); return err },
	} {
		for place, set := range map[string]func(*wsnotify.Config, func()){
			"ShouldReconnect": func(cfg *wsnotify.Config, f func()) {
				cfg.ShouldReconnect = func(wsnotify.Failure) bool { f(); return true }
			},
			"NextBackOff": func(cfg *wsnotify.Config, f func()) {
				cfg.BackOff = func() wsnotify.BackOff { return &policy{next: func() time.Duration { f(); return time.Second }} }
			},
			"Reset": func(cfg *wsnotify.Config, f func()) {
				cfg.BackOff = func() wsnotify.BackOff { return &policy{reset: f, next: func() time.Duration { return time.Second }} }
			},
			"BackOff": func(cfg *wsnotify.Config, f func()) {
				cfg.BackOff = func() wsnotify.BackOff { f(); return backoff.NewConstantBackOff(time.Second) }
			},
			"BeforeDial": func(cfg *wsnotify.Config, f func()) {
				cfg.BeforeDial = func(context.Context, *wsnotify.DialRequest) error { f(); return nil }
			},
			"OnHandshake": func(cfg *wsnotify.Config, f func()) {
				cfg.OnHandshake = func(context.Context, *wsnotify.Handshake) error { f(); return nil }
			},
			"OnClose": func(cfg *wsnotify.Config, f func()) { cfg.OnClose = func(wsnotify.CloseEvent) { f() } },
		} {
			t.Run(method+" in "+place, func(t *testing.T) {
				armed, returned := false, make(chan error, 1)
				var cfg wsnotify.Config
				set(&cfg, func() {
					if !armed {
						return
					}
					armed = false
					ctx, cancel := context.WithTimeout(bg, 30*time.Second)
					defer cancel()
					returned <- call(ctx)
				})
				inBubble(t, cfg, func(world *world) {
					w, armed, returned = world, place == "BackOff", make(chan error, 1)
					w.must(w.c.Enqueue(wsnotify.MessageText, []byte("x")))
					go w.c.Connect(bg, w.srv.URL(), "ada")
					w.pass(0)
					armed = place != "BackOff"
					w.srv.DropAll()
					w.pass(time.Minute)
					select {
					case err := <-returned:
						t.Log(err)
					default:
						t.Errorf("it has not returned within a minute: %+v", w.c.Status())
					}
					w.must(w.c.Connect(bg, w.srv.URL(), "ada"))
				})
			})
		}
	}
}

// The client goes on without a policy that does not answer when it is closed.
func TestDisconnectWhileThePolicyBlocks(t *testing.T) {
	block := make(chan struct{})
	inBubble(t, wsnotify.Config{BackOff: func() wsnotify.BackOff {
		return &policy{next: func() time.Duration { <-block; return 0 }}
	}}, func(w *world) {
		block = make(chan struct{})
		w.connect().Drop()
		w.pass(time.Second)
		w.must(w.c.Disconnect())
		if isDone(w.c) {
			t.Error("it is Done while the policy is asked")
		}
		close(block)
		<-w.c.Done()
	})
}

// A policy that is none gives up, as one does that says Stop.
func TestBackOffThatReturnsNoPolicy(t *testing.T) {
	inBubble(t, wsnotify.Config{BackOff: func() wsnotify.BackOff { return nil }}, func(w *world) {
		w.srv.Refuse(-1, 503, nil, "")
		var gaveUp *wsnotify.GiveUpError
		if err := w.c.Connect(w.Context(), w.srv.URL(), "ada"); !errors.As(err, &gaveUp) || gaveUp.Attempts != 1 {
			t.Errorf("%v", err)
		}
	})
}

// A policy is asked one thing at a time, also when nobody waits for its answer, as in a drain.
func TestPolicyIsAskedOneThingAtATime(t *testing.T) {
	resets, asking, overlaps := 0, false, 0
	once := func() {
		if asking {
			overlaps++
		}
		asking = true
		time.Sleep(10 * time.Second)
		asking = false
		resets++
	}
	inBubble(t, wsnotify.Config{
		StableAfter: time.Second, BackOff: func() wsnotify.BackOff { return &policy{reset: once} },
		OnMessage: func(wsnotify.Message) { time.Sleep(time.Minute) },
	}, func(w *world) {
		conn := w.connect()
		w.must(conn.SendBinary(nil))
		w.pass(0)
		go w.c.Drain(w.Context())
		w.pass(2 * time.Second) // it is stable
		conn.Drop()
		<-w.c.Done()
		if resets != 3 || overlaps != 0 {
			t.Errorf("%d resets, %d at once", resets, overlaps)
		}
	})
}
