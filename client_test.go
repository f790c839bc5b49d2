package wsnotify_test

import (
	"context"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

func TestConnectNotifyDisconnect(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.must(w.srv.Notify("ada", "mail", "3 new"))
		w.pass(time.Second)
		w.must(w.c.SendMessage(context.Background(), "hello"))
		w.must(w.c.Disconnect())
		w.expect(
			"0s CONNECTING", "0s OPEN", "0s open 1",
			"0s notification mail: 3 new",
			"1s CLOSING", "1s CLOSED",
			`1s close 1 code=1000 reason="" clean=true again=false`)
		if got := w.srv.Messages("ada"); len(got) != 1 || got[0] != "hello" {
			t.Errorf("the server got %q", got)
		}
		w.wantErr(w.c.SendMessage(context.Background(), "late"), wsnotify.ErrClosed)
	})
}

func TestDefaultPolicyIsSixReconnectsTenSecondsApart(t *testing.T) {
	inBubble(t, wsnotify.Config{}, func(w *world) {
		w.connect()
		w.journal()
		w.srv.Stop()
		<-w.c.Done()
		w.expect(
			"0s CLOSED", `0s close 1 code=1006 reason="" clean=false again=true`, "0s reconnect 1 in 10s",
			"10s CONNECTING", "10s CLOSED", "10s error dial", "10s reconnect 2 in 10s",
			"20s CONNECTING", "20s CLOSED", "20s error dial", "20s reconnect 3 in 10s",
			"30s CONNECTING", "30s CLOSED", "30s error dial", "30s reconnect 4 in 10s",
			"40s CONNECTING", "40s CLOSED", "40s error dial", "40s reconnect 5 in 10s",
			"50s CONNECTING", "50s CLOSED", "50s error dial", "50s reconnect 6 in 10s",
			"1m0s CONNECTING", "1m0s CLOSED", "1m0s error dial", "1m0s give up after 6")
	})
}
