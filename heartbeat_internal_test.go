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

// Nor is a peer taken for dead whose answer to that beat comes at that moment, too.
func TestPongAtTheMomentOfTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = 6 * time.Second
		start, pongs := time.Now(), 1
		var h *heartbeat
		received := func() transport.Progress { return transport.Progress{Received: int64(pongs)} }
		progress := func() transport.Progress {
			now := received()
			if time.Since(start) == timeout && pongs == 1 {
				pongs++
				h.written(now)
				h.mu.Lock()
				h.watch.Stop()
				h.mu.Unlock()
			}
			return now
		}
		clock := peertime.New(-1)
		h = newHeartbeat(Heartbeat{Interval: timeout, Timeout: timeout}, true, clock, progress,
			func() { t.Error("dead") }, nil, nil)
		h.ticker = time.AfterFunc(time.Hour, func() {})
		h.written(transport.Progress{}) // the pong came before that
		time.Sleep(time.Minute)
		synctest.Wait()
		if pongs != 2 {
			t.Errorf("%d pongs", pongs)
		}
		clock.Close()
	})
}
