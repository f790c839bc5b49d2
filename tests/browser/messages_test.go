package browser

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify"
)

func largeMessages(s *scene) {
	s.srv.Echo()
	s.srv.RecordMessages(false)
	c, _ := s.connect(config{})
	const size = 1 << 20
	c.must(order{Do: "send", Size: size})
	c.expect("message MessageText of 1048576 bytes, 06595696")
	c.must(order{Do: "send", Size: size, Text: "binary"})
	c.expect("message MessageBinary of 1048576 bytes, 06595696")
}

func textAsItIs(s *scene) {
	s.srv.Echo()
	c, _ := s.connect(config{})
	node := eval[bool](s.T, s.p, "!globalThis.document")
	for _, text := range []string{"", "\ufeff{}", "\ufeff", "naïve 通知 🎈\x00"} {
		c.must(order{Do: "send", Text: text})
		if node { // which takes a byte order mark away from what it receives
			c.expect("message MessageText " + strings.TrimPrefix(text, "\ufeff"))
		} else {
			c.expect("message MessageText " + text)
		}
	}
	if got := s.conn(1).Messages(); !slices.Equal(got, []string{"", "\ufeff{}", "\ufeff", "naïve 通知 🎈\x00"}) {
		s.Errorf("the server got %q", got)
	}
}

func readLimit(s *scene) {
	c, conn := s.connect(config{Never: true, ReadLimit: 100})
	conn.SendText(strings.Repeat("a", 100))
	conn.SendText(strings.Repeat("é", 51))
	c.expect("message MessageText of 100…", "CLOSED", "error wsnotify: the server broke the protocol: a message is too big…", `close 1006 "" false remote`, "give up…")
	s.ended(conn)
	if conn.CloseCode() != 4009 {
		s.Errorf("the server got %d", conn.CloseCode())
	}
}

// A callback that does not return, and a server that goes on.
func flood(s *scene) {
	c, conn := s.connect(config{Delay: time.Hour, Retries: 1})
	c.must(order{Do: "hold"})
	data := make([]byte, 256<<10)
	sent := 0
	for ; sent < 100<<20; sent += len(data) {
		if conn.SendBinary(data) != nil {
			break
		}
	}
	s.ended(conn)
	if conn.CloseCode() != 4009 {
		s.Errorf("the server got %d after %d MiB", conn.CloseCode(), sent>>20)
	}
	c.must(order{Do: "release"})
	var taken int
	for deadline := time.Now().Add(10 * time.Second); ; {
		lines := c.journal()
		for _, l := range lines {
			if strings.HasPrefix(l, "message MessageBinary of 262144") {
				taken++
			}
		}
		if i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "error ") }); i >= 0 {
			if !strings.Contains(lines[i], "more came than the callbacks took") {
				s.Error(lines[i])
			}
			break
		}
		if time.Now().After(deadline) {
			s.Fatal("nobody hears of it")
		}
	}
	if mib := taken / 4; mib < 16 || mib > 24 {
		s.Errorf("%d MiB were kept", mib)
	}
}

func reconnects(s *scene) {
	c, conn := s.connect(config{Delay: 50 * time.Millisecond, Retries: 1000})
	conn.Drop()
	c.expect("CLOSED", `close 1006 "" false network`, "reconnect 1", "CONNECTING", "OPEN", "open 2…")
	s.srv.Stop()
	c.expect("CLOSED", "close…", "reconnect 1")
	for i := range 10 {
		c.must(order{Do: "enqueue", Text: fmt.Sprint(i)})
	}
	if a := c.do(order{Do: "send", Text: "a"}); !a.is("not connected") {
		s.Errorf("%+v", a)
	}
	s.srv.Start()
	c.must(order{Do: "flush", Within: 10 * time.Second})
	c.must(order{Do: "reconnect"})
	c.must(order{Do: "wait", State: int(wsnotify.Open), Within: 10 * time.Second})
	var got []string
	for i := range s.srv.Total() {
		got = append(got, s.conn(i+1).Messages()...)
	}
	if strings.Join(got, "") != "0123456789" {
		s.Errorf("the server got %q", got)
	}
	if st := c.status(); st.Reconnects != 3 || st.Queued != 0 {
		s.Errorf("%+v", st)
	}
}

// A peer that does not read fills neither the browser nor the outbox.
func backPressure(s *scene) {
	s.srv.RecordMessages(false)
	c, conn := s.connect(config{Outbox: 1 << 20})
	conn.StopReading(true)
	// What the operating system and the browser take is some MiB.
	a := c.do(order{Do: "send", Size: 1 << 20, Times: 100, Within: 2 * time.Second})
	if !a.is("timeout") || !a.is("unconfirmed") {
		s.Fatalf("100 MiB were sent to nobody: %+v", a)
	}
	if a := c.do(order{Do: "enqueue", Size: 64 << 10, Times: 100}); !a.is("full") {
		s.Errorf("%+v", a)
	}
	conn.StopReading(false)
	c.must(order{Do: "flush", Within: 10 * time.Second})
	if st := c.status(); st.Epoch != 1 {
		s.Errorf("%+v", st)
	}
	begun := time.Now()
	const n = 2000
	c.must(order{Do: "send", Size: 64, Times: n})
	s.Logf("%d sends one after another took %v", n, time.Since(begun))
	begun = time.Now()
	c.must(order{Do: "enqueue", Size: 64, Times: n / 4})
	c.must(order{Do: "flush"})
	s.Logf("%d messages of Enqueue took %v", n/4, time.Since(begun))
}

func writeTimeout(s *scene) {
	c, conn := s.connect(config{Never: true, WriteTimeout: 300 * time.Millisecond})
	conn.StopReading(true)
	if a := c.do(order{Do: "send", Size: 1 << 20, Times: 100}); !a.is("unconfirmed") {
		s.Errorf("%+v", a)
	}
	c.expect("CLOSED", `close 1006 "" false network`, "give up…")
	conn.Reset()
}
