package conformance

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// The client as the subject of a protocol test: its OnMessage sends back what
// it gets, and it is judged by what the server sees and by what it reports.
// The numbers are those of the Autobahn test suite where it has the case; L
// and M are cases on lengths and masks, which it does not have.

// conformanceCase is what the server sends, and what must come of it.
type conformanceCase struct {
	id     string
	frames [][]byte
	// deliver is what OnMessage must see, and the server must see again.
	deliver []wsnotify.Message
	pings   []string // payloads that must be answered
	// code is that of the close frame which the client must send: the answer
	// to the server's, or to its violation if that is so.
	code      wsnotify.StatusCode
	reason    string
	violation bool
	closes    bool // the frames hold the server's close frame
	chop      int  // the only way to chop it, in octets; 0: all of them

	compression wsnotify.CompressionMode
	extension   string // the server's answer to the offer
	takeover    bool   // the client keeps its window
}

var conformanceConfig = wsnotify.Config{
	MaxFrame:  -1, // an echo is the frame that came
	Heartbeat: wsnotify.Heartbeat{Interval: -1},
	ReadLimit: 16 << 20,
	BackOff:   harness.Never,
}

// TestConformance runs each case in each way that it can be chopped.
func TestConformance(t *testing.T) {
	for _, c := range conformanceCases() {
		t.Run(c.id, func(t *testing.T) {
			stream := bytes.Join(c.frames, nil)
			switch {
			case c.chop > 0:
				c.run(t, pieces(stream, c.chop), 0)
				return
			case len(stream) > 1<<20:
				c.run(t, pieces(stream, 64<<10), 0)
				return
			}
			size := 997
			if len(stream) <= 2048 {
				size = 1
			}
			ways := []func(){
				func() { c.run(t, [][]byte{stream}, 0) },
				func() { c.run(t, c.frames, time.Millisecond) },
				func() { c.run(t, pieces(stream, size), 0) },
			}
			if harness.UnderRace { // which runs often
				ways = ways[rand.IntN(3):][:1]
			}
			for _, way := range ways {
				way()
			}
		})
	}
}

// The number of cases can't shrink without anybody noticing.
func TestConformanceIsComplete(t *testing.T) {
	want := map[string]int{
		"1": 16, "2": 11, "3": 7, "4": 10, "5": 20, "6": 145, "7": 38, "9": 54, "10": 1, "12": 18, "13": 12, "L": 14, "M": 3,
	}
	got, ids := map[string]int{}, map[string]bool{}
	for _, c := range conformanceCases() {
		if ids[c.id] {
			t.Errorf("there are two cases %s", c.id)
		}
		ids[c.id] = true
		chapter, _, _ := strings.Cut(c.id, ".")
		got[chapter]++
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("cases by chapter: %v and not %v", got, want)
	}
}

func pieces(b []byte, size int) [][]byte { return slices.Collect(slices.Chunk(b, size)) }

// run plays the case with the stream cut as given, and a rest after each cut.
func (c conformanceCase) run(t *testing.T, cuts [][]byte, rest time.Duration) {
	t.Helper()
	cfg := conformanceConfig
	var client *wsnotify.Client
	var delivered []wsnotify.Message
	var closed []wsnotify.CloseEvent
	var errs []error
	cfg.Compression = c.compression
	cfg.OnMessage = func(m wsnotify.Message) {
		delivered = append(delivered, wsnotify.Message{Type: m.Type, Data: bytes.Clone(m.Data)})
		client.Send(context.Background(), m.Type, m.Data)
	}
	cfg.OnClose = func(ev wsnotify.CloseEvent) { closed = append(closed, ev) }
	cfg.OnError = func(err error) {
		if !strings.Contains(err.Error(), "is not JSON") {
			errs = append(errs, err)
		}
	}
	seen := &witness{takeover: c.takeover}
	harness.InRawBubble(t, cfg, func(p *harness.Peer) {
		if c.extension != "" {
			p.Accept("Sec-WebSocket-Extensions: " + c.extension)
		} else {
			p.Accept()
		}
		late := time.AfterFunc(time.Minute, p.Fin) // for a client that misses the point
		defer late.Stop()
		for _, cut := range cuts {
			p.Write(cut)
			if rest > 0 && !p.Rest(rest) {
				break
			}
		}
		if !c.violation && !c.closes {
			for len(seen.messages) < len(c.deliver) || len(c.pings) > 0 && !seen.ponged(c.pings) {
				if !seen.see(p) {
					break
				}
			}
			p.Frames(closeFrame(1000, "over"))
		}
		for seen.see(p) {
		}
	}, func(w *harness.World, _ *harness.RawNet) {
		client = w.Client
		w.Must(w.Client.Connect(w.Context(), "ws://server/", ""))
		<-w.Client.Done()
	})

	code, reason := c.code, c.reason
	if !c.violation && !c.closes {
		code, reason = 1000, "over"
	}
	where := fmt.Sprintf("%d cuts, rest %v", len(cuts), rest)
	if !equalMessages(delivered, c.deliver) {
		t.Errorf("%s: OnMessage saw %s and not %s", where, show(delivered), show(c.deliver))
	}
	// What is sent in the same breath as an end may be answered after it.
	answered := rest > 0 || !c.violation && !c.closes
	if answered && !equalMessages(seen.messages, c.deliver) || len(seen.messages) > len(c.deliver) ||
		!equalMessages(seen.messages, c.deliver[:len(seen.messages)]) {
		t.Errorf("%s: the server saw %s and not %s", where, show(seen.messages), show(c.deliver))
	}
	if answered && !seen.ponged(c.pings) || rest > 0 && fmt.Sprintf("%q", seen.pongs) != fmt.Sprintf("%q", c.pings) {
		t.Errorf("%s: the pongs are %q for the pings %q", where, seen.pongs, c.pings)
	}
	for _, wrong := range seen.wrong {
		t.Errorf("%s: the client %s", where, wrong)
	}
	if seen.code != code {
		t.Errorf("%s: the client's close code is %d and not %d", where, seen.code, code)
	}
	if len(closed) != 1 {
		t.Fatalf("%s: %d OnClose", where, len(closed))
	}
	ev := closed[0]
	switch f := ev.Failure; {
	case c.violation:
		if ev.Code != 1006 || ev.WasClean || f.Code != code || f.Initiator != wsnotify.Remote || f.Phase != wsnotify.PhaseOpen || len(errs) != 1 {
			t.Errorf("%s: OnClose %+v, OnError %v", where, ev, errs)
		}
	case ev.Code != code || ev.Reason != reason || !ev.WasClean || f.Code != code || len(errs) != 0:
		t.Errorf("%s: OnClose %+v, OnError %v", where, ev, errs)
	}
}

// witness is what a server sees of the client.
type witness struct {
	messages []wsnotify.Message
	pongs    []string
	code     wsnotify.StatusCode // 0: no close frame
	wrong    []string

	takeover bool
	window   []byte
}

// see takes one frame, and reports false when there will be no other.
func (s *witness) see(p *harness.Peer) bool {
	f, ok := p.Frame()
	if !ok {
		return false
	}
	if s.code != 0 {
		s.wrong = append(s.wrong, fmt.Sprintf("sent opcode %d after its close frame (section 5.5.1)", f.Opcode))
	}
	if !f.Masked || !f.Minimal || !f.Fin || f.RSV&3 != 0 || f.Opcode > 2 && f.RSV != 0 {
		s.wrong = append(s.wrong, fmt.Sprintf("sent the frame %+v (section 5.2)", f))
	}
	switch f.Opcode {
	case 1, 2:
		if f.RSV != 0 {
			f.Payload = s.inflate(f.Payload)
		}
		s.messages = append(s.messages, wsnotify.Message{Type: wsnotify.MessageType(f.Opcode), Data: f.Payload})
	case 10:
		s.pongs = append(s.pongs, string(f.Payload))
	case 8:
		s.code = 1005
		if len(f.Payload) >= 2 {
			s.code = wsnotify.StatusCode(binary.BigEndian.Uint16(f.Payload))
		}
	default:
		s.wrong = append(s.wrong, fmt.Sprintf("sent opcode %d", f.Opcode))
	}
	return true
}

func (s *witness) inflate(b []byte) []byte {
	r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(b), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")), s.window)
	data, err := io.ReadAll(r)
	if err != nil {
		s.wrong = append(s.wrong, fmt.Sprintf("sent what can't be inflated: %v", err))
	}
	if s.takeover {
		s.window = append(s.window, data...)
		s.window = s.window[max(0, len(s.window)-32<<10):]
	}
	return data
}

// ponged reports whether the latest ping was answered, and nothing that was
// none. RFC 6455, section 5.5.3, lets a client skip older ones.
func (s *witness) ponged(pings []string) bool {
	left := pings
	for _, pong := range s.pongs {
		i := slices.Index(left, pong)
		if i < 0 {
			return false
		}
		left = left[i+1:]
	}
	return len(left) == 0
}

func equalMessages(a, b []wsnotify.Message) bool {
	return slices.EqualFunc(a, b, func(a, b wsnotify.Message) bool { return a.Type == b.Type && bytes.Equal(a.Data, b.Data) })
}

func show(messages []wsnotify.Message) string {
	var list []string
	for _, m := range messages {
		list = append(list, fmt.Sprintf("%d bytes %.20q", len(m.Data), m.Data))
	}
	return fmt.Sprintf("%d messages %.5q", len(list), list)
}
