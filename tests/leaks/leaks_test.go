// Package leaks looks for what reconnects leave behind: goroutines, timers,
// files, connections.
package leaks

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestMain(m *testing.M) { harness.Main(m) }

func TestThousandReconnectsOnRealSockets(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	ctx := harness.Deadline(t)
	opened := make(chan uint64, 10)
	c := wsnotify.New(wsnotify.Config{
		HTTPClient: srv.HTTPClient(),
		BackOff:    harness.Every(0),
		OnOpen:     func(ev wsnotify.OpenEvent) { opened <- ev.Epoch },
	})
	if err := c.Connect(ctx, srv.URL(), "ada"); err != nil {
		t.Fatal(err)
	}
	var goroutines, files int
	for i := range 1000 {
		conn, err := srv.NthConn(ctx, i+1)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case epoch := <-opened:
			if epoch != uint64(i+1) {
				t.Fatalf("epoch %d after %d reconnects", epoch, i)
			}
		case <-ctx.Done():
			t.Fatal("it did not reconnect")
		}
		if i%4 == 3 {
			c.Reconnect()
		} else {
			end(conn, i%4)
		}
		switch i {
		case 100:
			goroutines, files = runtime.NumGoroutine(), harness.OpenFiles(t)
		case 999:
			if g, f := runtime.NumGoroutine(), harness.OpenFiles(t); g > goroutines+10 || f > files+10 {
				t.Errorf("goroutines: %d, then %d; open files: %d, then %d", goroutines, g, files, f)
			}
		}
	}
	<-opened
	if err := c.Disconnect(); err != nil {
		t.Error(err)
	}
	<-c.Done()
}

func TestNoGoroutineIsLeftByAThousandReconnects(t *testing.T) {
	harness.InBubble(t, wsnotify.Config{BackOff: harness.Every(time.Second)}, func(w *harness.World) {
		w.Connect()
		for i := range 1000 {
			end(w.Conn(), i%3)
			w.Pass(time.Second)
			if !w.Client.IsConnected() {
				t.Fatalf("not connected after %d: %+v", i, w.Client.Status())
			}
		}
		synctest.Wait()
		if w.Net.Conns() != 1 {
			t.Errorf("%d connections", w.Net.Conns())
		}
	})
}

// end ends a connection in one of three ways.
func end(conn *wsnotifytest.Conn, way int) {
	switch way {
	case 0:
		conn.Drop()
	case 1:
		conn.Reset()
	default:
		conn.Close(1001, "")
	}
}
