package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestBinaryIsShownByItsBeginning(t *testing.T) {
	for n, want := range map[int]string{
		0:  "0 bytes",
		1:  "1 byte: 01",
		2:  "2 bytes: 01 01",
		32: "32 bytes: " + strings.TrimSuffix(strings.Repeat("01 ", 32), " "),
		33: "33 bytes: " + strings.TrimSuffix(strings.Repeat("01 ", 32), " ") + " …",
	} {
		if got := hexText(bytes.Repeat([]byte{1}, n)); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}

// A text that is shortened keeps whole characters, and up to the limit it is not.
func TestShortenedTexts(t *testing.T) {
	for _, test := range []struct {
		text  string
		limit int
		want  string
	}{
		{"four", 4, "four"}, {"fours", 4, "four…"}, {"aé", 3, "aé"}, {"aéx", 2, "a…"}, {"éx", 1, "…"}, {"", 0, ""},
	} {
		if got := shorten(test.text, test.limit); got != test.want {
			t.Errorf("%q within %d: %q, want %q", test.text, test.limit, got, test.want)
		}
	}
}

func TestRoundTripIsShownAsSomebodyReadsIt(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		1499 * time.Nanosecond: time.Microsecond, 9999600 * time.Nanosecond: 10 * time.Millisecond,
		9123456 * time.Nanosecond: 9123 * time.Microsecond, 10123456 * time.Nanosecond: 10 * time.Millisecond, 10500 * time.Microsecond: 11 * time.Millisecond,
	} {
		if got := roundTrip(d); got != want {
			t.Errorf("%v is shown as %v, want %v", d, got, want)
		}
	}
}

func TestControlCharactersAreEscaped(t *testing.T) {
	for text, want := range map[string]string{
		"a\tb\n\n":         "a    b",
		"a\x1b[31m\nb\r\a": `a\x1b[31m` + "\n" + `b\r\a`,
		"\u202e":           `\u202e`,
		"\U000e0001":       `\U000e0001`,
		"大 é":              "大 é",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for text, want := range map[string]string{"\"\U0001D173\uffff\"": `"\ud834\udd73\uffff"`, "\"\u202e\u0085é\"": `"\u202e\u0085é"`, "\"\U000e0001😀\"": `"\udb40\udc01😀"`} {
		if got := string(escapeJSON([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// What a command has printed ends with a line end, and on a terminal it does nothing to that.
func TestTextOfCommands(t *testing.T) {
	for _, test := range []struct {
		tty      bool
		in, want string
	}{
		{false, "", ""}, {false, "a", "a\n"}, {false, "a\n", "a\n"}, {false, "a\x1b\r\n", "a\x1b\r\n"},
		{true, "", ""}, {true, "a", "a\n"}, {true, "a\r\nb\x1b\n", "a\nb\\x1b\n"},
	} {
		var b bytes.Buffer
		d := &display{err: &b, errTTY: test.tty}
		d.text([]byte(test.in))
		if got := b.String(); got != test.want {
			t.Errorf("terminal %v, %q: %q, want %q", test.tty, test.in, got, test.want)
		}
	}
}

// The column of the types grows with them, to 24 and no further.
func TestColumnOfTypes(t *testing.T) {
	var b bytes.Buffer
	d := newDisplay(&b, &b, looks{}, false)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		r    record
		want string
	}{
		{record{Time: at, MsgType: "a", text: "x\ny"}, "03:04:05  a         x\n                    y\n"},
		{record{Time: at, MsgType: strings.Repeat("b", 10), text: "x"}, "03:04:05  bbbbbbbbbb  x\n"},
		{record{Time: at, MsgType: "a", Fallback: true, text: "x"}, "03:04:05  -           x\n"},
		{record{Time: at, Binary: []byte{1}}, "03:04:05  binary      1 byte: 01\n"},
		{record{Time: at, MsgType: strings.Repeat("b", 30), text: "x"}, "03:04:05  " + strings.Repeat("b", 30) + "  x\n"},
		{record{Time: at, MsgType: "a", text: "x"}, "03:04:05  a" + strings.Repeat(" ", 23) + "  x\n"},
	} {
		b.Reset()
		if err := d.print(test.r); err != nil || b.String() != test.want {
			t.Errorf("%+v: %q, %v, want %q", test.r, &b, err, test.want)
		}
	}
}

// --timestamps begins a message of any kind with the time, to the second for people and in full for programs.
func TestTimestamps(t *testing.T) {
	for _, tty := range []bool{false, true} {
		var b bytes.Buffer
		d := newDisplay(&b, &b, looks{timestamps: true, color: "never"}, false)
		d.tty = tty
		before := time.Now().Add(-time.Second)
		if err := d.raw(wsnotify.Message{Type: wsnotify.MessageText, Data: []byte("x")}, &framing{}); err != nil {
			t.Fatal(err)
		}
		stamp, rest, _ := strings.Cut(b.String(), " ")
		layout, want := time.RFC3339Nano, "x\n"
		if tty {
			layout, want = clock, " x\n"
		}
		at, err := time.Parse(layout, stamp)
		if err != nil || rest != want || !tty && (at.Before(before) || at.After(time.Now())) {
			t.Errorf("terminal %v: %q, %v", tty, &b, err)
		}
	}
}

// Colours are for terminals that have them and users who want them, and so is the status line.
func TestLooksOfTerminals(t *testing.T) {
	end, tty, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	defer end.Close()
	defer tty.Close()
	for _, test := range []struct {
		color, term, noColor string
		tty                  bool
		coloured, live       bool
	}{
		{"auto", "xterm", "", true, true, true},
		{"auto", "dumb", "", true, false, false},
		{"auto", "xterm", "1", true, false, true},
		{"never", "xterm", "", true, false, true},
		{"always", "dumb", "1", true, true, false},
		{"auto", "xterm", "", false, false, false},
		{"always", "xterm", "", false, true, false},
	} {
		t.Setenv("TERM", test.term)
		t.Setenv("NO_COLOR", test.noColor)
		var out io.Writer = new(bytes.Buffer)
		if test.tty {
			out = tty
		}
		d := newDisplay(out, out, looks{color: test.color}, false)
		if coloured := d.dim.Sprint("x") != "x"; coloured != test.coloured || (d.live != nil) != test.live {
			t.Errorf("%+v: coloured %v, a status line %v", test, coloured, d.live != nil)
		}
	}
}

// The status stands in the last line, is drawn again when it has changed, and is gone while anything else is printed.
func TestStatusOnATerminal(t *testing.T) {
	end, tty, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	defer end.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: 18}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TERM", "xterm")
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network) {
		d := newDisplay(tty, tty, looks{color: "never"}, false)
		srv := n.NewServer()
		client := wsnotify.New(wsnotify.Config{HTTPClient: n.HTTPClient(), Heartbeat: wsnotify.Heartbeat{Interval: -1}})
		d.end() // which has not begun
		d.watch(client)
		time.Sleep(100 * time.Millisecond)
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		d.say("wsnotify: a %s", "notice")
		d.print(record{Time: time.Unix(0, 0).UTC(), MsgType: "a", text: "b"})
		d.raw(wsnotify.Message{Type: wsnotify.MessageBinary, Data: []byte("c")}, &framing{})
		d.text([]byte("d"))
		n.Latency(123 * time.Millisecond)
		client.Reconnect()
		time.Sleep(time.Second)
		client.Disconnect()
		<-client.Done()
		d.end()
		d.say("e")
	})
	if err := pty.Setsize(tty, &pty.Winsize{}); err != nil {
		t.Fatal(err)
	}
	if line := (&display{live: tty, status: func() string { return strings.Repeat("x", 80) }}).line(); line != strings.Repeat("x", 78)+"…" {
		t.Errorf("where the width is not known, a line is %q", line)
	}
	tty.Close()
	text, _ := io.ReadAll(end)
	const wipe = "\r\x1b[K"
	want := "CLOSED" + wipe + "OPEN for 0s"
	for _, line := range []string{"wsnotify: a notice\r\n", "00:00:00  a         b\r\n", "binary, 1 byte: 63\r\n", "d\r\n"} {
		want += wipe + line + "OPEN for 1s"
	}
	want += wipe + "CONNECTING, atte…" + wipe + "OPEN for 0s" + wipe + "CLOSING" + wipe + "wsnotify: e\r\n"
	if got := string(text); got != want {
		t.Errorf("it shows\n%q, want\n%q", got, want)
	}
}
