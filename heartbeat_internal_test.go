package wsnotify

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/peertime"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// A beat that is written at the moment at which the peer is found dead does not
// begin another watch.
func TestBeatAtTheMomentOfTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 6 * time.Second
		start, died := time.Now(), make(chan time.Duration, 1)
		var h *heartbeat
		beats := 0
		progress := func() transport.Progress {
			if time.Since(start) == timeout && beats == 0 {
				beats++
				h.written(transport.Progress{})
			}
			return transport.Progress{}
		}
		clock := peertime.New(-1)
		h = newHeartbeat(Heartbeat{Interval: timeout, Timeout: timeout}, true, clock, progress,
			func() { died <- time.Since(start) }, nil, nil)
		h.ticker = time.AfterFunc(time.Hour, func() {})
		h.written(transport.Progress{})
		if at := <-died; at != timeout || beats != 1 {
			t.Errorf("dead after %v, with %d more beats", at, beats)
		}
		clock.Close()
	})
}
