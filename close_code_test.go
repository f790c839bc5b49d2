package wsnotify_test

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// strictServer is a socket behind which script runs once the handshake is done, and
// a client that trusts it.
func strictServer(t *testing.T, secure bool, script func(conn net.Conn)) (url string, client *http.Client) {
	t.Helper()
	if !secure {
		return rawServer(t, script), nil
	}
	cert, pool := testkit.Certificate(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour), "127.0.0.1")
	config := &tls.Config{Certificates: []tls.Certificate{cert}}
	url = rawServerBehind(t, func(conn net.Conn) net.Conn { return tls.Server(conn, config) }, script)
	return "wss" + strings.TrimPrefix(url, "ws"), harness.Trusting(&tls.Config{RootCAs: pool})
}

// closeCode reads until the client's close frame, and returns its code; -1 if there
// is none. It reads slowly.
func closeCode(conn net.Conn, pause time.Duration) int {
	var got []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := conn.Read(buf)
		got = append(got, buf[:n]...)
		for {
			f, size := harness.Decode(got)
			if size == 0 {
				break
			}
			if f.Opcode == 8 && len(f.Payload) >= 2 {
				return int(binary.BigEndian.Uint16([]byte(f.Payload)))
			}
			got = got[size:]
		}
		if err != nil {
			return -1
		}
		time.Sleep(pause) // what is measured is what a real socket does
	}
}

// The close code that says what was wrong arrives, though the server is in the
// middle of writing more than the client reads: no reset overtakes it.
func TestCloseCodeArrivesWhileThePeerWrites(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for name, test := range map[string]struct {
			bytes []byte
			want  int
		}{
			"too big":      {harness.Binary(strings.Repeat("x", 8<<20)), 1009},
			"a wrong mask": {append([]byte{0x81, 0x81, 1, 2, 3, 4, 5}, make([]byte, 8<<20)...), 1002},
			"not UTF-8":    {append(harness.Text("\xff"), make([]byte, 8<<20)...), 1007},
		} {
			for _, uploads := range []bool{false, true} {
				t.Run(name+map[bool]string{true: " TLS"}[secure]+map[bool]string{true: " uploading"}[uploads], func(t *testing.T) {
					code := make(chan int, 1)
					begin := make(chan struct{})
					url, client := strictServer(t, secure, func(conn net.Conn) {
						<-begin
						conn.Write(test.bytes) // all of it, before anything is read
						code <- closeCode(conn, 0)
					})
					c := wsnotify.New(wsnotify.Config{
						HTTPClient: client, Heartbeat: wsnotify.Heartbeat{Interval: -1}, BackOff: harness.Never, ReadLimit: 1 << 10,
						Outbox: wsnotify.Outbox{Bytes: -1},
					})
					defer func() { c.Disconnect(); <-c.Done() }()
					ctx := deadline(t)
					if err := c.Connect(ctx, url, ""); err != nil {
						t.Fatal(err)
					}
					if uploads {
						if err := c.Enqueue(wsnotify.MessageBinary, make([]byte, 16<<20)); err != nil {
							t.Fatal(err)
						}
					}
					close(begin)
					select {
					case got := <-code:
						if got != test.want {
							t.Errorf("the server got the code %d, expected %d", got, test.want)
						}
					case <-ctx.Done():
						t.Error("the server got nothing")
					}
				})
			}
		}
	}
}

// The code of CloseWith arrives, though the server reads slowly and there is more to
// send than it reads in time.
func TestCloseCodeArrivesBehindUnsentData(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "ws", true: "wss"}[secure], func(t *testing.T) {
			t.Parallel()
			code := make(chan int, 1)
			url, client := strictServer(t, secure, func(conn net.Conn) { code <- closeCode(conn, 4*time.Millisecond) })
			c := wsnotify.New(wsnotify.Config{
				HTTPClient: client, Heartbeat: wsnotify.Heartbeat{Interval: -1}, BackOff: harness.Never, MaxFrame: 64 << 10,
				Outbox: wsnotify.Outbox{Bytes: -1}, CloseTimeout: 10 * time.Second, // of a busy machine
			})
			defer func() { <-c.Done() }()
			ctx := deadline(t)
			if err := c.Connect(ctx, url, ""); err != nil {
				t.Fatal(err)
			}
			if err := c.Enqueue(wsnotify.MessageBinary, make([]byte, 128<<20)); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			c.CloseWith(ctx, 4001, "enough")
			if d := time.Since(began); d > 11*time.Second {
				t.Errorf("CloseWith took %v, CloseTimeout is 10 s", d)
			}
			select {
			case got := <-code:
				if got != 4001 {
					t.Errorf("the server got the code %d, expected 4001", got)
				}
			case <-ctx.Done():
				t.Error("the server got nothing")
			}
		})
	}
}

// A peer that neither reads nor ends holds up no end.
func TestEndDoesNotWaitForAPeerThatStays(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	url := rawServer(t, func(conn net.Conn) {
		conn.Write(harness.Binary(strings.Repeat("x", 2<<10)))
		<-hold
	})
	c := wsnotify.New(wsnotify.Config{Heartbeat: wsnotify.Heartbeat{Interval: -1}, BackOff: harness.Never, ReadLimit: 1 << 10})
	if err := c.Connect(deadline(t), url, ""); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	<-c.Done()
	if d := time.Since(began); d > 11*time.Second {
		t.Errorf("it was over after %v", d)
	}
}
