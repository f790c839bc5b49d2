package observetest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// The clients are what prom and otel are tested with, at both moments.
func TestWhatIsObserved(t *testing.T) {
	var c *wsnotify.Client
	observe := func(observed *wsnotify.Client) { c = observed }
	var got []string
	inbox := func() {
		s := c.Status()
		running := time.Duration(0)
		if !s.CallbackSince.IsZero() {
			running = time.Since(s.CallbackSince).Round(time.Second)
		}
		got = append(got, fmt.Sprintf("%d in the inbox, %d unhandled, a callback runs for %v", s.InboxQueued, s.Unhandled, running))
	}
	streams := func() {
		s := c.Status()
		got = append(got, fmt.Sprintf("%+v, %d duplicates, %d gaps, limited %v", s.Subscriptions, s.Duplicates, s.Gaps, s.Limited))
	}
	synctest.Test(t, func(t *testing.T) {
		life(t, wsnotify.Config{}, observe, func(c *wsnotify.Client, srv *wsnotifytest.Server) {
			srv.Latency(10 * time.Millisecond)
			Exchange(t, c, srv)
			s := c.Status()
			got = append(got, fmt.Sprintf("%d in, %d out, of %d and %d bytes, RTT %v", s.MessagesIn, s.MessagesOut, s.BytesIn, s.BytesOut, s.RTT))
		})
	})
	if s := c.Status(); s.ReadyState != wsnotify.Closed || s.Failures != (wsnotify.FailureCounts{}) {
		t.Errorf("at the end: %+v", s)
	}
	Inbox(t, observe, inbox, inbox)
	Streams(t, observe, streams, streams)
	want := []string{
		"1 in, 1 out, of 3 and 4 bytes, RTT 20ms",
		"2 in the inbox, 1 unhandled, a callback runs for 30s",
		"0 in the inbox, 1 unhandled, a callback runs for 0s",
		"{Wanted:3 Active:1 Refused:0}, 1 duplicates, 1 gaps, limited true",
		"{Wanted:3 Active:2 Refused:1}, 7 duplicates, 1 gaps, limited false",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("observed are\n%q, expected\n%q", got, want)
	}
}
