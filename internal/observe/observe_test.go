package observe

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// inBubble connects a counted client to a server and lets something go wrong.
func inBubble(t *testing.T, cfg wsnotify.Config, wrong func(*wsnotify.Client, *wsnotifytest.Server)) *Counts {
	t.Helper()
	counts := &Counts{}
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		srv.AllowViolations()
		cfg.HTTPClient = net.HTTPClient()
		cfg.BackOff = func() wsnotify.BackOff { return backoff.NewConstantBackOff(time.Second) }
		client := wsnotify.New(counts.Hook(cfg))
		defer func() { <-client.Done() }()
		defer client.Disconnect()
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		wrong(client, srv)
		synctest.Wait()
	})
	return counts
}

func TestEachCauseIsCounted(t *testing.T) {
	refuseHook := false
	for _, test := range []struct {
		cause Cause
		cfg   wsnotify.Config
		wrong func(*wsnotify.Client, *wsnotifytest.Server)
	}{
		{cause: Lost, wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) { srv.DropAll() }},
		{cause: Closed, wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) { srv.User("ada").Close(1001, "bye") }},
		{cause: Requested, wrong: func(c *wsnotify.Client, _ *wsnotifytest.Server) { c.Reconnect() }},
		{cause: Heartbeat, wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) {
			srv.User("ada").BlackHole(true)
			time.Sleep(12500 * time.Millisecond)
		}},
		{cause: Violation, wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) {
			srv.LiveConns()[0].WriteRaw([]byte{0xff, 0})
		}},
		{cause: Refused, wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) {
			srv.Refuse(1, http.StatusServiceUnavailable, nil, "")
			srv.DropAll()
			time.Sleep(1500 * time.Millisecond)
		}},
		{cause: Dial, wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) {
			srv.Stop()
			time.Sleep(1500 * time.Millisecond)
			srv.Start()
		}},
		{
			cause: Hook,
			cfg: wsnotify.Config{BeforeDial: func(context.Context, *wsnotify.DialRequest) error {
				if refuseHook {
					return errors.New("no token")
				}
				return nil
			}},
			wrong: func(_ *wsnotify.Client, srv *wsnotifytest.Server) {
				refuseHook = true
				srv.DropAll()
				time.Sleep(1500 * time.Millisecond)
			},
		},
	} {
		t.Run(test.cause.String(), func(t *testing.T) {
			counts := inBubble(t, test.cfg, test.wrong)
			want := map[Cause]uint64{test.cause: 1}
			switch test.cause {
			case Refused, Dial, Hook: // what came before the attempt that failed
				want[Lost] = 1
			}
			got := maps.Collect(counts.Reconnects)
			for cause := range causes {
				if got[cause] != want[cause] {
					t.Errorf("%d reconnects because of %v, and not %d", got[cause], cause, want[cause])
				}
			}
		})
	}
}

func TestConnectionsAreCounted(t *testing.T) {
	counts := inBubble(t, wsnotify.Config{}, func(_ *wsnotify.Client, srv *wsnotifytest.Server) {
		srv.DropAll()
		time.Sleep(1500 * time.Millisecond)
	})
	if got := counts.Connections(); got != 2 {
		t.Errorf("%d connections were opened, and not 2", got)
	}
}

func TestEachReasonIsCounted(t *testing.T) {
	enqueue := func(c *wsnotify.Client, n int) {
		for range n {
			if err := c.Enqueue(wsnotify.MessageText, []byte("x")); err != nil {
				t.Error(err)
			}
		}
	}
	for reason, cfg := range map[Reason]wsnotify.Config{
		Ended:      {},
		Expired:    {Outbox: wsnotify.Outbox{MaxAge: time.Second}},
		OutboxFull: {Outbox: wsnotify.Outbox{Messages: 2, Overflow: wsnotify.DropOldest}},
	} {
		t.Run(reason.String(), func(t *testing.T) {
			counts := inBubble(t, cfg, func(c *wsnotify.Client, srv *wsnotifytest.Server) {
				srv.Stop()
				synctest.Wait()
				enqueue(c, 3)
				time.Sleep(10 * time.Second)
				if reason == OutboxFull {
					srv.Start()
					time.Sleep(1500 * time.Millisecond)
				}
			})
			want := map[Reason]uint64{Ended: 3, Expired: 3, OutboxFull: 1}[reason]
			for r, got := range counts.Undelivered {
				if r == reason && got != want || r != reason && got != 0 {
					t.Errorf("%d messages were not sent because of %v", got, r)
				}
			}
		})
	}
	if got := ReasonOf(wsnotify.ErrUnconfirmed); got != Unconfirmed {
		t.Errorf("ErrUnconfirmed is %v", got)
	}
}

func TestTheUsersCallbacksAreCalled(t *testing.T) {
	var opened, reconnecting, undelivered int
	inBubble(t, wsnotify.Config{
		OnOpen:         func(wsnotify.OpenEvent) { opened++ },
		OnReconnecting: func(wsnotify.ReconnectEvent) { reconnecting++ },
		OnUndelivered:  func(wsnotify.Message, error) { undelivered++ },
	}, func(c *wsnotify.Client, srv *wsnotifytest.Server) {
		srv.Stop()
		synctest.Wait()
		c.Enqueue(wsnotify.MessageText, []byte("x"))
	})
	// The callbacks ended before the bubble did.
	if opened != 1 || reconnecting != 1 || undelivered != 1 {
		t.Errorf("OnOpen was called %d times, OnReconnecting %d times, OnUndelivered %d times", opened, reconnecting, undelivered)
	}
}
