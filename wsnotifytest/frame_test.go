package wsnotifytest

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

// clientFrame is a frame of a client, whose length takes as many bytes as form says: 1, 3 or 9.
func clientFrame(first byte, form int, payload []byte) []byte {
	b := []byte{first, 0x80}
	switch form {
	case 1:
		b[1] |= byte(len(payload))
	case 3:
		b = binary.BigEndian.AppendUint16([]byte{first, 0x80 | 126}, uint16(len(payload)))
	case 9:
		b = binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, uint64(len(payload)))
	}
	mask := []byte{1, 2, 3, 250}
	b = append(b, mask...)
	for i, c := range payload {
		b = append(b, c^mask[i%4])
	}
	return b
}

// A frame is read as it was sent, and one that is cut off anywhere is an error that is no violation.
func TestReadFrame(t *testing.T) {
	for size, form := range map[int]int{0: 1, 5: 1, 125: 1, 126: 3, 200: 3, 65535: 3, 65536: 9} {
		payload := []byte(strings.Repeat("payload", size/7+1))[:size]
		for _, fin := range []bool{false, true} {
			first := byte(OpBinary)
			if fin {
				first |= 0x80
			}
			b := clientFrame(first, form, payload)
			f, err := readFrame(bufio.NewReader(bytes.NewReader(append(b, "more"...))), false)
			if err != nil || f.fin != fin || f.opcode != OpBinary || f.compressed || !bytes.Equal(f.payload, payload) {
				t.Errorf("%d bytes: %+.20v, %v", size, f, err)
			}
			for _, cut := range []int{0, 1, 2, form, form + 1, form + 4, len(b) - 1} {
				var v violation
				if _, err := readFrame(bufio.NewReader(bytes.NewReader(b[:min(cut, len(b)-1)])), false); err == nil || errors.As(err, &v) {
					t.Errorf("%d of %d bytes: %v", cut, len(b), err)
				}
			}
		}
	}
}

func TestFramesThatAreViolations(t *testing.T) {
	for name, test := range map[string]struct {
		b       []byte
		deflate bool
		want    string // "": it is none
	}{
		"compressed":                   {clientFrame(0xC1, 1, nil), true, ""},
		"compressed, not agreed on":    {clientFrame(0xC1, 1, nil), false, "reserved bits 100 are set and no extension was agreed (section 5.2)"},
		"compressed ping":              {clientFrame(0xC9, 1, nil), true, "reserved bits 100 are set and no extension was agreed (section 5.2)"},
		"compressed continuation":      {clientFrame(0xC0, 1, nil), true, "reserved bits 100 are set and no extension was agreed (section 5.2)"},
		"another bit":                  {clientFrame(0xE2, 1, nil), true, "reserved bits 010 are set and no extension was agreed (section 5.2)"},
		"opcode 3":                     {clientFrame(0x83, 1, nil), false, "unknown opcode 0x3 (section 5.2)"},
		"opcode 7":                     {clientFrame(0x87, 1, nil), false, "unknown opcode 0x7 (section 5.2)"},
		"close":                        {clientFrame(0x88, 1, nil), false, ""},
		"pong":                         {clientFrame(0x8A, 1, nil), false, ""},
		"opcode 11":                    {clientFrame(0x8B, 1, nil), false, "unknown opcode 0xb (section 5.2)"},
		"a fragment of a ping":         {clientFrame(0x09, 1, nil), false, "fragmented control frame (section 5.5)"},
		"a ping of 125 bytes":          {clientFrame(0x89, 1, make([]byte, 125)), false, ""},
		"a ping of 126 bytes":          {clientFrame(0x89, 3, make([]byte, 126)), false, "control frame of more than 125 bytes (section 5.5)"},
		"no mask":                      {[]byte{0x81, 0}, false, "frame without a mask (section 5.1)"},
		"125 bytes in three":           {clientFrame(0x81, 3, make([]byte, 125)), false, "length is not minimally encoded (section 5.2)"},
		"65535 bytes in nine":          {clientFrame(0x81, 9, make([]byte, 65535)), false, "length is not minimally encoded (section 5.2)"},
		"more than anybody would send": {binary.BigEndian.AppendUint64([]byte{0x81, 0xFF}, maxMessage+1), false, fmt.Sprintf("frame of %d bytes", maxMessage+1)},
	} {
		_, err := readFrame(bufio.NewReader(bytes.NewReader(test.b)), test.deflate)
		if got := fmt.Sprint(err); test.want == "" && err != nil || test.want != "" && got != test.want {
			t.Errorf("%s: %v, expected %q", name, err, test.want)
		}
	}
}

// takes is a writer that takes so many bytes, and then none.
type takes struct{ left int }

func (w *takes) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	if w.left -= n; n < len(p) {
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// WriteTo says how much was written, also when it fails, and the version is in the first line alone.
func TestWriteToThatFails(t *testing.T) {
	rec := &Recording{}
	for range 100 {
		rec.Events = append(rec.Events, Event{Conn: 1, Dir: "in", Type: "text", Text: strings.Repeat("x", 100)})
	}
	var whole bytes.Buffer
	if n, err := rec.WriteTo(&whole); err != nil || n != int64(whole.Len()) || strings.Count(whole.String(), `"v":1`) != 1 {
		t.Errorf("%d bytes of %d, %v", n, whole.Len(), err)
	}
	for _, most := range []int{0, 1, 4096, 5000, whole.Len() - 1} {
		if n, err := rec.WriteTo(&takes{most}); err != io.ErrClosedPipe || n != int64(most) {
			t.Errorf("%d bytes were written, expected %d, %v", n, most, err)
		}
	}
	rec.Events[99].Text = "\xff"
	if n, err := rec.WriteTo(&takes{1 << 20}); err == nil || !strings.HasPrefix(err.Error(), "wsnotifytest: event 100: the text") || n > int64(whole.Len()) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// What is wrong with a link is reported, and changes nothing.
func TestMisuseChangesNothing(t *testing.T) {
	r := &testkit.Recorder{TB: t}
	n := NewNetwork(r)
	n.Latency(time.Second)
	n.BytesPerSecond(1000)
	n.Buffer(100)
	n.Latency(-1)
	n.BytesPerSecond(-1)
	n.Buffer(-1)
	if want := (linkConfig{time.Second, 1000, 100}); n.link != want {
		t.Errorf("links are %+v", n.link)
	}
	s := n.NewServer()
	s.Latency(-1)
	s.BytesPerSecond(-1)
	if s.manner.latency != nil || s.manner.rate != nil {
		t.Errorf("the server's manner is %+v", s.manner)
	}
	s.Refuse(1, 42, nil, "")
	if len(s.plans) > 0 {
		t.Errorf("%d handshakes are planned", len(s.plans))
	}
	r.End()
}

// Each server of a network has an address of its own, of those that are nobody's.
func TestAddressesOfServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := NewNetwork(t)
		test1 := net.IPNet{IP: net.IPv4(192, 0, 2, 0), Mask: net.CIDRMask(24, 32)}
		benchmarks := net.IPNet{IP: net.IPv4(198, 18, 0, 0), Mask: net.CIDRMask(15, 32)}
		seen := map[string]bool{}
		for number := 1; number <= 520; number++ {
			s := n.NewServer()
			if seen[s.ip.String()] || test1.Contains(s.ip) != (number <= 254) || benchmarks.Contains(s.ip) != (number > 254) {
				t.Errorf("server %d is at %v", number, s.ip)
			}
			seen[s.ip.String()] = true
		}
	})
}

// An answer with another payload is wrong unless a right one has come since, or may have been on its way when the
// test broke the connection.
func TestWrongPongs(t *testing.T) {
	const wrong = `ping "a" was answered with pong "x", expected the same payload (section 5.5.3)`
	for name, test := range map[string]struct {
		asks, pongs []string
		broken      bool
		want        violation
	}{
		"right":                {[]string{"a"}, []string{"a"}, false, ""},
		"one of its own":       {nil, []string{"x"}, false, ""},
		"wrong":                {[]string{"a"}, []string{"x"}, false, wrong},
		"wrong, then right":    {[]string{"a", "b"}, []string{"x", "b"}, false, ""},
		"right, then its own":  {[]string{"a"}, []string{"a", "x"}, false, ""},
		"the first is skipped": {[]string{"a", "b"}, []string{"b", "a"}, false, ""},
		"broken":               {[]string{"a"}, []string{"x"}, true, ""},
	} {
		c := &Conn{s: NewNetwork(t).NewServer(), broken: test.broken}
		for _, p := range test.asks {
			c.asks(p)
		}
		for _, p := range test.pongs {
			c.ponged(p)
		}
		if got := c.wrongPong(); got != test.want {
			t.Errorf("%s: %q, expected %q", name, got, test.want)
		}
		if c.stray != nil {
			if c.strayAt = c.strayAt.Add(-closeWait); c.wrongPong() != wrong {
				t.Errorf("%s: after %v: %q", name, closeWait, c.wrongPong())
			}
		}
	}
}
