package wsnotify_test

import (
	"bytes"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"github.com/wsnotify/wsnotify"
)

// A message that was delivered is not referenced any more, however many came
// with it and however long nothing comes behind it.
func TestDeliveredMessagesAreForgotten(t *testing.T) {
	for _, burst := range []int{1, 2, 3, 10, 34, 40, 66} {
		var delivered []weak.Pointer[byte]
		cfg := wsnotify.Config{
			Heartbeat: wsnotify.Heartbeat{Interval: -1},
			OnMessage: func(m wsnotify.Message) { delivered = append(delivered, weak.Make(&m.Data[0])) },
		}
		inRawBubble(t, cfg, func(p *rawPeer) {
			p.accept()
			p.frames(bytes.Repeat(binaryOf(strings.Repeat("x", 100)), burst))
			p.silence()
		}, func(w *world, _ *rawNet) {
			w.must(w.c.Connect(w.Context(), "ws://server/", ""))
			w.pass(time.Second)
			runtime.GC()
			kept := 0
			for _, p := range delivered {
				if p.Value() != nil {
					kept++
				}
			}
			if len(delivered) != burst || kept > 0 {
				t.Errorf("of a burst of %d messages %d were delivered and %d are kept", burst, len(delivered), kept)
			}
		})
	}
}
