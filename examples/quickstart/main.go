// Quickstart is a WebSocket client that stays connected, to look at and to
// copy from.
//
// Without flags it starts a notification server of its own, takes it away and
// brings it back, and ends by itself:
//
//	go run ./examples/quickstart
//
// With an address it stays connected to a real server until Ctrl-C:
//
//	go run ./examples/quickstart -url wss://example.com/ws/ -user ada
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1 // it gave up, or the demo went wrong
	exitUsage  = 2
)

// run is the program. It returns when everything that it started has ended.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}

	a := newApp(o, stdout)
	stopCountdown := a.startCountdown()
	if o.url == "" {
		err = a.demo(ctx)
	} else {
		err = a.client.Run(ctx, o.url, o.user)
	}
	<-a.client.Done() // the last callback has printed its line
	stopCountdown()

	a.summary()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "quickstart:", err)
		return exitFailed
	}
	return exitOK
}

// options are the flags.
type options struct {
	url, user           string
	interval, heartbeat time.Duration
	attempts            uint64
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.url, "url", "", "`address` of a server, such as wss://example.com/ws/; empty for the demo")
	flags.StringVar(&o.user, "user", "", "`name` to add to the address")
	flags.DurationVar(&o.interval, "interval", 0, "time between reconnects (default 10s, in the demo 3s)")
	flags.Uint64Var(&o.attempts, "attempts", 6, "reconnects in a row before giving up")
	flags.DurationVar(&o.heartbeat, "heartbeat", 6*time.Second, "time between heartbeats; negative for none")
	if err := flags.Parse(args); err != nil {
		return o, err
	}

	switch {
	case flags.NArg() > 0:
		return o, usage(flags, "unexpected argument %q", flags.Arg(0))
	case o.interval < 0:
		return o, usage(flags, "-interval must not be negative")
	}
	if o.url == "" && o.user == "" {
		o.user = "ada"
	}
	if o.interval == 0 {
		o.interval = 10 * time.Second
		if o.url == "" {
			o.interval = 3 * time.Second
		}
	}
	return o, nil
}

func usage(flags *flag.FlagSet, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	fmt.Fprintln(flags.Output(), "quickstart:", err)
	flags.Usage()
	return err
}

// app prints what a client does.
type app struct {
	options
	client    *wsnotify.Client
	start     time.Time
	countdown *time.Ticker
	uptime    time.Duration // of connections that are over; of the callbacks

	mu  sync.Mutex
	out io.Writer
}

// mail is the content of a notification of that type.
type mail struct {
	From    string `json:"from"`
	Subject string `json:"subject"`
}

func newApp(o options, out io.Writer) *app {
	a := &app{options: o, start: time.Now(), out: out}
	a.countdown = time.NewTicker(a.countdownStep())
	a.client = wsnotify.New(wsnotify.Config{
		BackOff: func() wsnotify.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(o.interval), o.attempts)
		},
		Heartbeat: wsnotify.Heartbeat{Interval: o.heartbeat},
		// Without this the standard notification is the Chinese one of the browser store.
		Fallback: wsnotify.Notification{MsgType: "notification", Content: "you have something new"},

		// All callbacks run one after another, on one goroutine.
		OnStateChange: func(ev wsnotify.StateChange) {
			a.line("state", "%v → %v", ev.From, ev.To)
		},
		OnOpen: func(ev wsnotify.OpenEvent) {
			a.line("open", "connection %d", ev.Epoch)
		},
		OnClose: func(ev wsnotify.CloseEvent) {
			a.uptime += ev.Failure.Uptime
			a.line("close", "code %d after %v: %v", ev.Code, a.round(ev.Failure.Uptime), ev.Failure.Err)
		},
		OnReconnecting: func(ev wsnotify.ReconnectEvent) {
			a.countdown.Reset(a.countdownStep()) // count from now
			a.line("wait", "reconnect %d of %d in %v", ev.Attempt, o.attempts, a.round(ev.Delay))
		},
		OnGiveUp: func(err *wsnotify.GiveUpError) {
			a.line("give up", "after %d dials", err.Attempts)
		},
		OnError: func(err error) {
			a.line("error", "%v", err)
		},
		OnNotification: func(n wsnotify.Notification) {
			switch {
			case n.Fallback: // the message has no msgType or no content
				a.line("notify", "%s: %s (Config.Fallback: the message has no msgType)", n.MsgType, n.Content)
			case n.MsgType != "mail": // which has a handler of its own
				a.line("notify", "%s: %s", n.MsgType, n.Content)
			}
		},
		OnUndelivered: func(m wsnotify.Message, err error) {
			a.line("unsent", "%q: %v", m.Data, err)
		},
	})
	wsnotify.On(a.client, "mail", func(m mail) {
		a.line("mail", "%s: %s", m.From, m.Subject)
	})
	return a
}

// startCountdown begins to print how long it is until the next attempt, while
// there is one to wait for. The function returned ends that.
func (a *app) startCountdown() (stop func()) {
	quit := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			select {
			case <-a.countdown.C:
			case <-quit:
				return
			}
			next := a.client.Status().NextAttempt
			if left := a.round(time.Until(next)); !next.IsZero() && left > 0 {
				a.line("wait", "… %v", left)
			}
		}
	})
	return func() {
		a.countdown.Stop()
		close(quit)
		ended.Wait()
	}
}

// countdownStep is a second, or less if the interval is shorter.
func (a *app) countdownStep() time.Duration {
	if a.interval < time.Second {
		return max(a.interval/3, time.Millisecond)
	}
	return time.Second
}

// round leaves of d what a person wants to read.
func (a *app) round(d time.Duration) time.Duration {
	if a.interval < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second / 10)
}

// line prints what happened, under the time since the start.
func (a *app) line(what, format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fmt.Fprintf(a.out, "%8.3fs  %-7s  %s\n", time.Since(a.start).Seconds(), what, fmt.Sprintf(format, args...))
}

// summary prints the end of it all.
func (a *app) summary() {
	s := a.client.Status()
	a.line("summary", "messages in: %d, out: %d; reconnects: %d; connected for %v of %v",
		s.MessagesIn, s.MessagesOut, s.Reconnects, a.round(a.uptime), a.round(time.Since(a.start)))
}
