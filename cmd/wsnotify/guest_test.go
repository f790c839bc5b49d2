package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What waits for a client is counted once, however many it waits for, and until the last of them has it or
// has gone.
func TestQueuesOfGuests(t *testing.T) {
	h := newHub(func(string, ...any) {})
	guest := func(name string) *guest { return newGuest(h, name, new(socket)) }
	frame := func(size int) *outgoingFrame { return &outgoingFrame{op: opText, data: make([]byte, size)} }
	wants := func(what string, pending int) {
		t.Helper()
		if h.pending != pending {
			t.Errorf("%s: %d bytes wait, want %d", what, h.pending, pending)
		}
	}

	a, b := guest("a"), guest("b")
	f := frame(10)
	if !a.queue(f) || !b.queue(f) {
		t.Fatal("there is no room")
	}
	wants("for two", 10)
	a.dequeued(<-a.out)
	wants("for one", 10)
	b.unqueue()
	wants("for none", 0)

	a.queueMissed(nil)
	a.unqueue()
	a.queueMissed([]*outgoingFrame{frame(1), frame(2)})
	a.queue(frame(4))
	wants("missed and new", 7)
	a.unqueue()
	wants("of one that has gone", 0)

	for i := range maxQueue + 1 {
		if a.queue(frame(0)) != (i < maxQueue) {
			t.Fatalf("message %d of %d", i+1, maxQueue)
		}
	}
	a.unqueue()

	full := frame(maxPending)
	if !a.queue(full) || b.queue(frame(1)) || !b.queue(full) || !b.queue(frame(0)) {
		t.Error("the bound is not that of all bytes that wait")
	}
	c := guest("c")
	c.queueMissed([]*outgoingFrame{frame(0), frame(1), frame(0)})
	select {
	case <-c.drop:
	default:
		t.Error("a client that can't have what it has missed is not dropped")
	}
	if len(c.missed) != 1 {
		t.Errorf("%d messages behind one that is missing", len(c.missed)-1)
	}
	c.unqueue()
	a.unqueue()
	b.unqueue()
	wants("at the end", 0)
}

// A page finds the latest of what has happened, and knows how much that was.
func TestLogOfAHub(t *testing.T) {
	h := newHub(func(string, ...any) {})
	for i := range maxLog + 5 {
		h.note("ada", "in", strconv.Itoa(i))
		if want := min(i+1, maxLog); len(h.log) != want || h.entries != i+1 {
			t.Fatalf("%d of %d entries, want %d of %d", len(h.log), h.entries, want, i+1)
		}
	}
	if first, last := h.log[0].Text, h.log[maxLog-1].Text; first != "5" || last != strconv.Itoa(maxLog+4) {
		t.Errorf("it goes from %s to %s", first, last)
	}
	h.note("ada", "in", strings.Repeat("x", maxText))
	h.note("ada", "in", strings.Repeat("x", maxText+1))
	if whole, cut := h.log[maxLog-2].Text, h.log[maxLog-1].Text; len(whole) != maxText || cut != whole+"…" {
		t.Errorf("%d and %d bytes", len(whole), len(cut))
	}
}

// So many clients may come as are allowed, and one that leaves makes room.
func TestClientsOfAHub(t *testing.T) {
	h := newHub(func(string, ...any) {})
	h.maxClients = 2
	for i, want := range []string{"", "", "2 clients are connected; serve --max-clients allows more"} {
		if got := h.enter(); got != want {
			t.Errorf("client %d: %q, want %q", i+1, got, want)
		}
	}
	h.clients = []*guest{{User: "ada"}, {User: "bob"}}
	if !h.online("bob") || h.online("eve") {
		t.Error("a client that is there is not, or the other way round")
	}
	h.clients = nil
	h.leave()
	if got := h.enter(); got != "" {
		t.Error(got)
	}
	h.leave()
	h.leave()
	h.close()
	if got := h.enter(); got != "the server ends" {
		t.Errorf("after the end: %q", got)
	}
}

// A visit is a guest whose client is at the other end of a pipe.
type visit struct {
	t     *testing.T
	guest *guest
	conn  net.Conn // of the client
	in    *bufio.Reader
	ended chan string // why
}

func visiting(t *testing.T, h *hub) *visit {
	client, server := net.Pipe()
	v := &visit{t: t, guest: newGuest(h, "ada", newSocket(server, bufio.NewReader(server))), conn: client, in: bufio.NewReader(client), ended: make(chan string, 1)}
	go func() { v.ended <- v.guest.serve() }()
	t.Cleanup(func() { client.Close() })
	return v
}

func (v *visit) sends(bytes string) {
	v.t.Helper()
	if _, err := io.WriteString(v.conn, bytes); err != nil {
		v.t.Error(err)
	}
}

// gets reads a frame of the server.
func (v *visit) gets(op byte, payload string) {
	v.t.Helper()
	c := rawClient{v.conn, v.in}
	if gotOp, got, err := c.frame(); gotOp != op || string(got) != payload || err != nil {
		v.t.Errorf("it sends %#x %q, %v, want %#x %q", gotOp, got, err, op, payload)
	}
}

func (v *visit) queues(f *outgoingFrame) {
	v.guest.hub.mu.Lock()
	defer v.guest.hub.mu.Unlock()
	if !v.guest.queue(f) {
		v.t.Error("there is no capacity")
	}
}

func (v *visit) mutes(on bool) {
	v.guest.hub.mu.Lock()
	defer v.guest.hub.mu.Unlock()
	v.guest.mute(on)
}

// ends waits for the end, and checks when it comes and why. Nothing of a message under way is left.
func (v *visit) ends(began time.Time, after time.Duration, want string) {
	v.t.Helper()
	why := <-v.ended
	if took := time.Since(began); why != want || took != after {
		v.t.Errorf("it ends after %v: %s, want %v: %s", took, why, after, want)
	}
	if n, _ := io.Copy(io.Discard, v.in); n != 0 {
		v.t.Errorf("then %d more bytes come", n)
	}
	v.guest.hub.mu.Lock()
	defer v.guest.hub.mu.Unlock()
	v.guest.unqueue()
	if n := len(v.guest.hub.large); n != 0 || v.guest.hub.pending != 0 {
		v.t.Errorf("%d large messages are still counted, and %d bytes", n, v.guest.hub.pending)
	}
}

func TestEndsOfAVisit(t *testing.T) {
	for name, test := range map[string]struct {
		visit func(v *visit)
		after time.Duration
		why   string
	}{
		"the client closes":                {func(v *visit) { v.sends(mask(0x88, "\x03\xe8")); v.gets(opClose, "\x03\xe8") }, 0, "closed with 1000 (normal)"},
		"the client closes with a reason":  {func(v *visit) { v.sends(mask(0x88, "\x0f\xa0bye")); v.gets(opClose, "\x0f\xa0") }, 0, "closed with 4000, bye"},
		"the client closes without a code": {func(v *visit) { v.sends(mask(0x88, "")); v.gets(opClose, "") }, 0, "closed with 1005 (no code)"},
		"the client is gone":               {func(v *visit) { v.conn.Close() }, 0, "the connection was lost"},
		"the client breaks a rule": {func(v *visit) {
			v.sends("\x81\x01x\x00\x00\x00")
			v.gets(opClose, "\x03\xeaa frame has no mask (section 5.1)")
		}, time.Second, "closed with 1002: a frame has no mask (section 5.1)"},
		"a message is too big": {func(v *visit) {
			v.sends("\x82\xff\x00\x00\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00")
			v.gets(opClose, "\x03\xf1a message of more than 16M")
			v.conn.Close()
		}, 0, "sent a message of more than 16M, and was closed with 1009; --read-limit raises that"},
		"a large message stops": {func(v *visit) {
			v.sends("\x82\xff\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00")
			for range 3 { // any progress will do
				v.sends(strings.Repeat("x", smallMessage))
				time.Sleep(29 * time.Second)
			}
			v.gets(opClose, "\x03\xf0it stopped in the middle of a message")
			v.conn.Close()
		}, 88 * time.Second, "closed with 1008: it stopped in the middle of a message"},
		"a small message may stop": {func(v *visit) {
			v.sends("\x82\x84\x00\x00\x00\x00x")
			time.Sleep(time.Hour)
			v.conn.Close()
		}, time.Hour, "the connection was lost"},
		"the client is slow between large messages": {func(v *visit) {
			v.sends(mask(0x82, strings.Repeat("x", smallMessage+1)))
			time.Sleep(time.Hour)
			v.sends(mask(0x88, ""))
			v.gets(opClose, "")
		}, time.Hour, "closed with 1005 (no code)"},
		"the client does not read": {func(v *visit) { v.queues(&outgoingFrame{op: opText, data: []byte("x")}) }, 10 * time.Second, "the connection was lost"},
		"the client does not read all of a large message": {func(v *visit) {
			v.queues(&outgoingFrame{op: opText, data: make([]byte, smallMessage+1)})
			io.ReadFull(v.conn, make([]byte, 10))
		}, 10 * time.Second, "the connection was lost"},
		"dropped": {func(v *visit) { closeOnce(v.guest.drop); closeOnce(v.guest.drop) }, 0, "dropped"},
		"closed from the page": {func(v *visit) {
			v.queues(&outgoingFrame{op: opClose, code: 4000, reason: "bye"})
			v.queues(&outgoingFrame{op: opText, data: []byte("too late")})
			v.gets(opClose, "\x0f\xa0bye")
			time.Sleep(4 * time.Second)
			v.sends(mask(0x88, "\x0f\xa0"))
		}, 4 * time.Second, "closed with 4000 from the page"},
		"closed from the page without an answer": {func(v *visit) {
			v.queues(&outgoingFrame{op: opClose, code: 1001, reason: "bye"})
			v.gets(opClose, "\x03\xe9bye")
		}, 5 * time.Second, "closed with 1001 from the page, and did not answer"},
		"the server ends": {func(v *visit) {
			v.queues(goodBye())
			v.gets(opClose, "\x03\xe9the server ends")
			v.sends(mask(0x88, "\x03\xe9"))
		}, 0, "the server ends"},
		"the server ends without an answer": {func(v *visit) {
			v.queues(goodBye())
			v.gets(opClose, "\x03\xe9the server ends")
		}, 5 * time.Second, "the server ends, and did not answer"},
		"a muted client is not heard, and hears nothing": {func(v *visit) {
			synctest.Wait() // the reader waits for a message
			v.mutes(true)
			v.queues(&outgoingFrame{op: opText, data: []byte("queued")})
			v.sends(mask(0x89, "not answered") + mask(0x81, "the one that is waited for"))
			v.conn.SetWriteDeadline(time.Now().Add(time.Hour))
			if n, err := io.WriteString(v.conn, mask(0x81, "more")); n != 0 || err == nil {
				v.t.Errorf("%d more bytes are read", n)
			}
			v.conn.SetWriteDeadline(time.Time{})
			v.mutes(false)
			v.gets(opText, "queued")
			v.sends(mask(0x89, "answered"))
			v.gets(opPong, "answered")
			v.mutes(true)
			v.mutes(true)
			v.sends(mask(0x88, "")) // which is not answered, either
		}, time.Hour, "closed with 1005 (no code)"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHub(func(string, ...any) {})
				v, began := visiting(t, h), time.Now()
				test.visit(v)
				v.ends(began, test.after, test.why)
			})
		})
	}
}

// What a client sends is printed and entered in the log; its text pings, only if that is asked for.
func TestMessagesThatServeShows(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	for _, test := range []struct {
		pings bool
		op    byte
		data  string
		says  string // "": nothing
	}{
		{false, opText, "hello", "hello"},
		{false, opText, "two\nlines\x1b", `two\nlines\x1b`},
		{false, opText, "", ""},
		{false, opText, "ping", "-"},
		{true, opText, "ping", "ping"},
		{false, opBinary, "ping", "4 bytes: 70 69 6e 67"},
		{false, opText, long, long},
		{false, opText, long[1:] + "é", long[1:] + "… (65537 bytes)"},
	} {
		var said []string
		h := newHub(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		h.pings = test.pings
		changed := h.changed
		newGuest(h, "a\nda", new(socket)).received(test.op, []byte(test.data))
		if test.says == "-" {
			if len(said) != 0 || h.entries != 0 {
				t.Errorf("%q: it says %q", test.data, said)
			}
			continue
		}
		if want := `a\nda: ` + test.says; len(said) != 1 || said[0] != want {
			t.Errorf("%.20q: it says %.100q, want %.100q", test.data, said, want)
		}
		select {
		case <-changed:
		default:
			t.Errorf("%.20q: the pages are not notified", test.data)
		}
		if e := h.log[0]; len(h.log) != 1 || e.User != "a\nda" || e.Kind != "in" || oneLine(e.Text) != shorten(test.says, maxText) {
			t.Errorf("%.20q: the log has %.100q", test.data, h.log)
		}
	}
}

// What a client sends comes back, is confirmed, or both.
func TestAnswersOfServe(t *testing.T) {
	for _, test := range []struct {
		echo    bool
		confirm fieldPath
		sends   string
		wants   []string // opcode and text
	}{
		{true, nil, mask(0x81, "a") + mask(0x82, "b"), []string{"1a", "2b"}},
		{true, fieldPath{"id"}, mask(0x81, `{"id":7,"x":1}`), []string{`1{"id":7,"x":1}`, `1{"id":7}`}},
		{false, fieldPath{"id"}, mask(0x82, `{"id":7}`) + mask(0x81, `{"x":7}`) + mask(0x81, `{"id":8}`), []string{`1{"id":8}`}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHub(func(string, ...any) {})
			h.echo, h.confirm = test.echo, test.confirm
			v, began := visiting(t, h), time.Now()
			go v.sends(test.sends + mask(0x88, ""))
			for _, want := range test.wants {
				v.gets(want[0]-'0', want[1:])
			}
			v.gets(opClose, "")
			v.ends(began, 0, "closed with 1005 (no code)")
		})
	}
	// One that is gone is not waited for.
	g := newGuest(newHub(func(string, ...any) {}), "ada", new(socket))
	close(g.over)
	g.reply(&outgoingFrame{})
}
