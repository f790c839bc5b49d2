//go:build !js

package transport

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/internal/deflate"
	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// stream is a body that has something to read, and takes what is written.
type stream struct {
	bytes.Reader
	took bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) { return s.took.Write(p) }
func (s *stream) Close() error                { return nil }

// compressed returns a connection that has agreed on compression, and the server's
// side of that.
func compressed(p *extension.Params, opts Options, frames ...[]byte) (*Upgraded, *stream) {
	body := new(stream)
	body.Reset(bytes.Join(frames, nil))
	u := newUpgraded(body, &Socket{counts: true})
	u.start(p, opts)
	return u, body
}

var bothKeep = extension.Params{ServerWindow: 15, ClientWindow: 15, ServerTakeover: true, ClientTakeover: true}

// serverFrame is a compressed binary message of a server.
func serverFrame(d *deflate.Deflater, data []byte) []byte {
	payload := d.Deflate(nil, data, true)
	head := []byte{wire.Fin | wire.RSV1 | byte(wire.Binary), byte(len(payload))}
	if len(payload) > 125 {
		head = []byte{head[0], 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	return append(head, payload...)
}

// What a compressed message must be once it is not compressed any more: no longer than ReadLimit, and as text UTF-8.
func TestDecompressedMessagesAreChecked(t *testing.T) {
	for _, test := range []struct {
		op    wire.Op
		data  string
		limit int64
		code  uint16 // 0: it comes
	}{
		{wire.Text, "grüße", 7, 0},
		{wire.Text, "grüße", 6, wire.TooBig},
		{wire.Text, "grüße", -1, 0},
		{wire.Text, "gr\xfc\xdfe", -1, wire.InvalidPayload},
		{wire.Binary, "gr\xfc\xdfe", -1, 0},
		{wire.Binary, "", 0, 0},
		{wire.Binary, "x", 0, wire.TooBig},
	} {
		frame := serverFrame(deflate.NewDeflater(32<<10, true), []byte(test.data))
		frame[0] = wire.Fin | wire.RSV1 | byte(test.op)
		u, _ := compressed(&bothKeep, Options{ReadLimit: test.limit}, frame)
		events := make([]Event, 1)
		n, _, err := u.Read(events)
		if test.code == 0 {
			if n != 1 || string(events[0].Data) != test.data {
				t.Errorf("%q with the limit %d: %d messages, %v", test.data, test.limit, n, err)
			}
			continue
		}
		if v := (*wire.Violation)(nil); n != 0 || !errors.As(err, &v) || v.Code != int(test.code) {
			t.Errorf("%q with the limit %d: %d messages, %v, want %d", test.data, test.limit, n, err, test.code)
		}
	}
}

// However much comes at once, no more than 64 KiB and one message are decompressed
// before somebody takes them.
func TestBatchStopsBeingDecompressed(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		const size = 50_000
		d := deflate.NewDeflater(32<<10, true)
		var frames [][]byte
		for i := range 40 {
			frames = append(frames, serverFrame(d, bytes.Repeat([]byte{byte(i)}, size)))
			if i%3 == 0 {
				frames = append(frames, []byte{wire.Fin | byte(wire.Ping), 1, byte(i)})
			}
		}
		u, _ := compressed(&bothKeep, Options{ReadLimit: 1 << 20, Reuse: reuse}, frames...)
		events := make([]Event, 32)
		messages, pings := 0, 0
		for messages < 40 {
			n, _, err := u.Read(events)
			if err != nil {
				t.Fatal(err)
			}
			held := 0
			for _, ev := range events[:n] {
				if ev.Op == wire.Ping {
					if ev.Data[0] != byte(3*pings) || messages != 3*pings+1 {
						t.Errorf("ping %d came after %d messages", ev.Data[0], messages)
					}
					pings++
					continue
				}
				if len(ev.Data) != size || ev.Data[0] != byte(messages) || ev.Data[size-1] != byte(messages) || ev.Compressed {
					t.Fatalf("message %d has %d bytes", messages, len(ev.Data))
				}
				if ev.Cost < size || ev.Cost > 2*size {
					t.Errorf("%d bytes cost %d", size, ev.Cost)
				}
				messages++
				held += len(ev.Data)
				ev.Release()
			}
			if held > inflateBytes+size {
				t.Errorf("%d bytes were decompressed at once", held)
			}
		}
		if pings != 14 {
			t.Errorf("%d pings came", pings)
		}
	}
}

// What a message costs is the larger of its frame and of what it becomes.
func TestCostOfCompressedMessages(t *testing.T) {
	empty := bytes.Repeat([]byte{0, 0, 0, 0xff, 0xff}, 1000) // stored blocks of nothing
	frame := append([]byte{wire.Fin | wire.RSV1 | byte(wire.Binary), 126, byte((len(empty) + 1) >> 8), byte(len(empty) + 1)}, append(empty, 0)...)
	d := deflate.NewDeflater(32<<10, false)
	for _, reuse := range []bool{false, true} {
		u, _ := compressed(&bothKeep, Options{ReadLimit: 1 << 20, Reuse: reuse}, frame, serverFrame(d, nil), serverFrame(d, make([]byte, 9000)), []byte{0x82, 0})
		events := make([]Event, 8)
		n, _, err := u.Read(events)
		if err != nil || n != 4 {
			t.Fatal(n, err)
		}
		for i, want := range []struct{ size, least, most int }{{0, 5001, 5001}, {0, 256, 512}, {9000, 9000, 16 << 10}, {0, 256, 512}} {
			ev := events[i]
			if len(ev.Data) != want.size || ev.Cost < want.least || ev.Cost > want.most {
				t.Errorf("message %d of %d bytes costs %d, reuse %v", i, len(ev.Data), ev.Cost, reuse)
			}
			ev.Release()
		}
	}
}

// After a message that can't be decompressed comes its error, behind what came
// before it.
func TestErrorBehindWhatCameBefore(t *testing.T) {
	d := deflate.NewDeflater(32<<10, true)
	u, _ := compressed(&bothKeep, Options{ReadLimit: 1 << 20},
		serverFrame(d, []byte("one")), serverFrame(d, []byte("two")), []byte{0xc2, 1, 0xff}, serverFrame(d, []byte("three")))
	events := make([]Event, 8)
	n, _, err := u.Read(events)
	if err != nil || n != 2 || string(events[1].Data) != "two" {
		t.Fatal(n, err)
	}
	var violation *wire.Violation
	if n, _, err := u.Read(events); n != 0 || !errors.As(err, &violation) || violation.Code != wire.ProtocolError {
		t.Error(n, err)
	}
}

// peer reads the frames of a client that compresses.
type peer struct {
	t    *testing.T
	in   *deflate.Inflater
	rest []byte

	frames []byte // first bytes
	open   []byte
	rsv    bool
}

// messages are those that came whole.
func (p *peer) messages(b []byte) (got []string) {
	p.rest = append(p.rest, b...)
	for {
		b := p.rest
		if len(b) < 2 {
			return got
		}
		size, header := int(b[1]&127), 2
		switch size {
		case 126:
			header, size = 4, int(b[2])<<8|int(b[3])
		case 127:
			header, size = 10, int(b[6])<<24|int(b[7])<<16|int(b[8])<<8|int(b[9])
		}
		if len(b) < header+4+size {
			return got
		}
		key, payload := b[header:header+4], bytes.Clone(b[header+4:header+4+size])
		for i := range payload {
			payload[i] ^= key[i%4]
		}
		first := b[0]
		p.frames = append(p.frames, first)
		p.rest = b[header+4+size:]
		if first&15 >= 8 {
			got = append(got, fmt.Sprintf("control %s", payload))
			continue
		}
		if first&15 != 0 {
			p.rsv, p.open = first&wire.RSV1 != 0, nil
		} else if first&wire.RSV1 != 0 {
			p.t.Error("a continuation has RSV1")
		}
		p.open = append(p.open, payload...)
		if first&wire.Fin == 0 {
			continue
		}
		if p.rsv {
			data, err := p.in.Inflate(nil, p.open, 1<<30)
			if err != nil {
				p.t.Fatalf("message %d: %v", len(got), err)
			}
			p.open = data
		}
		got = append(got, string(p.open))
	}
}

// Any batch arrives as it was sent, whatever its sizes, the size of frames, the
// window and what is withdrawn on its way: also of a message of which a part has
// been compressed.
func TestCompressedBatches(t *testing.T) {
	sizes := []int{0, 1, 40, 120, 5000, 65_535, 65_536, 65_537, 150_000, 400_000}
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 9))
		params := extension.Params{ServerWindow: 15, ClientWindow: 8 + rnd.IntN(8), ServerTakeover: true, ClientTakeover: rnd.IntN(3) > 0}
		u, body := compressed(&params, Options{MaxFrame: []int{0, 0, 10, 1000, 70_000}[rnd.IntN(5)]})
		in, _ := params.Server()
		p := &peer{t: t, in: in}
		var want, got []string
		for range 3 {
			var b Batch
			var texts []string
			for i := range 1 + rnd.IntN(6) {
				if rnd.IntN(8) == 0 {
					b.Add(wire.Ping, []byte{byte('a' + i)})
					texts = append(texts, "control "+string(rune('a'+i)))
					continue
				}
				text := strings.Repeat(fmt.Sprintf(`{"id":%d,"text":"words, words"}`, rnd.IntN(1000)), 20_000)[:sizes[rnd.IntN(len(sizes))]]
				if rnd.IntN(3) == 0 {
					noise := make([]byte, len(text))
					for i := range noise {
						noise[i] = byte(rnd.Uint32())
					}
					text = string(noise)
				}
				b.Add(wire.Binary, []byte(text))
				texts = append(texts, text)
			}
			ended := 0
			for !b.Done() {
				n, _, err := u.Write(&b)
				if err != nil {
					t.Fatal(err)
				}
				if ended += n; rnd.IntN(4) == 0 && ended < b.Len() {
					i := ended + rnd.IntN(b.Len()-ended)
					b.Lock()
					data := b.frames()[i].data
					if !b.frames()[i].withdrawn && !b.Withdraw(i) {
						texts[i] = "withdrawn"
						clear(data) // the owner has it back
					}
					b.Unlock()
				}
			}
			b.Reset()
			for _, text := range texts {
				if text != "withdrawn" {
					want = append(want, text)
				}
			}
			got = append(got, p.messages(body.took.Bytes())...)
			body.took.Reset()
		}
		if len(got) != len(want) {
			t.Fatalf("seed %d: %d messages of %d came", seed, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("seed %d: message %d of %d bytes came as %d", seed, i, len(want[i]), len(got[i]))
			}
		}
		if u.pack != nil {
			t.Fatalf("seed %d: memory of a message is kept", seed)
		}
	}
}

// What was read and not decompressed yet comes with the next Reads, however many events these take.
func TestPendingMessagesComeInPieces(t *testing.T) {
	for size := 1; size <= 6; size++ {
		d := deflate.NewDeflater(1<<15, true)
		var frames [][]byte
		for i := range 6 {
			frames = append(frames, serverFrame(d, bytes.Repeat([]byte{byte('a' + i)}, inflateBytes)))
		}
		u, _ := compressed(&bothKeep, Options{ReadLimit: -1}, frames...)
		events := make([]Event, 6)
		got := ""
		for want := 6; len(got) < 6; events = events[:size] {
			n, _, err := u.Read(events)
			if err != nil || n == 0 || n > want {
				t.Fatalf("%d events: %d, %v behind %q", size, n, err, got)
			}
			for _, ev := range events[:n] {
				if len(ev.Data) != inflateBytes {
					t.Errorf("%d bytes", len(ev.Data))
				}
				got += string(ev.Data[:1])
			}
			want -= n
		}
		if got != "abcdef" || u.pending != nil {
			t.Errorf("%d events: %q, and %d are pending", size, got, len(u.pending))
		}
	}
}

// A message that is withdrawn in the middle of its compression leaves nothing on the
// wire, and nothing that later messages refer to.
func TestWithdrawnInTheMiddleOfItsCompression(t *testing.T) {
	u, body := compressed(&bothKeep, Options{})
	in, _ := bothKeep.Server()
	p := &peer{t: t, in: in}
	send := func(b *Batch) {
		for !b.Done() {
			if _, _, err := u.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		b.Reset()
	}
	var b Batch
	b.Add(wire.Text, []byte("a first message of some length"))
	send(&b)
	large := []byte(strings.Repeat("the withdrawn text, ", 50_000))
	b.Add(wire.Text, large)
	if n, torn, err := u.Write(&b); n != 0 || torn || err != nil {
		t.Fatal(n, torn, err)
	}
	if u.pack == nil || u.pack.done != packBytes {
		t.Fatalf("%+v was compressed at once", u.pack)
	}
	b.Lock()
	if begun := b.Withdraw(0); begun {
		t.Error("a message of which nothing has left can't be taken back")
	}
	clear(large)
	b.Unlock()
	send(&b)
	b.Add(wire.Text, []byte("a first message, and the withdrawn text, the withdrawn text"))
	send(&b)
	if got := p.messages(body.took.Bytes()); len(got) != 2 || got[1] != "a first message, and the withdrawn text, the withdrawn text" {
		t.Errorf("%q", got)
	}
}

// What is compressed: data that is not empty, where it can't refer to earlier messages from 64 bytes on and only if
// it becomes shorter, and no control frame.
func TestWhatIsCompressed(t *testing.T) {
	noise := make([]byte, 100)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	alone := extension.Params{ServerWindow: 15, ClientWindow: 15}
	for _, test := range []struct {
		params     *extension.Params
		op         wire.Op
		data       string
		compressed bool
	}{
		{&bothKeep, wire.Text, "", false},
		{&bothKeep, wire.Text, "x", true},
		{&bothKeep, wire.Binary, string(noise), true},
		{&bothKeep, wire.Ping, strings.Repeat("x", 100), false},
		{&bothKeep, wire.Pong, strings.Repeat("x", 100), false},
		{&alone, wire.Text, strings.Repeat("x", 63), false},
		{&alone, wire.Text, strings.Repeat("x", 64), true},
		{&alone, wire.Binary, string(noise), false},
		{nil, wire.Text, strings.Repeat("x", 100), false},
	} {
		u, body := compressed(test.params, Options{})
		if u.Compression() != test.params {
			t.Errorf("it says that %v was agreed on", u.Compression())
		}
		var b Batch
		b.Add(test.op, []byte(test.data))
		if n, torn, err := u.Write(&b); n != 1 || torn || err != nil {
			t.Fatal(n, torn, err)
		}
		if first := body.took.Bytes()[0]; first&wire.RSV1 != 0 != test.compressed || first&wire.Fin == 0 || wire.Op(first&15) != test.op {
			t.Errorf("%d bytes with %+v: the first byte is %#x", len(test.data), test.params, first)
		}
	}
}

// After an error nothing of a batch is left, whatever of it was still to be decompressed.
func TestErrorDropsWhatIsPending(t *testing.T) {
	d := deflate.NewDeflater(32<<10, true)
	large := make([]byte, inflateBytes)
	frames := [][]byte{serverFrame(d, large), {0xc2, 1, 0xff}, serverFrame(d, []byte("three")), {0x82, 1, 'x'}}
	u, _ := compressed(&bothKeep, Options{ReadLimit: 1 << 20, Reuse: true}, frames...)
	events := make([]Event, 8)
	if n, pingPong, err := u.Read(events); n != 1 || pingPong || err != nil || len(events[0].Data) != len(large) || len(u.pending) != 3 {
		t.Fatalf("%d, %v, %v, %d are pending", n, pingPong, err, len(u.pending))
	}
	n, _, err := u.Read(events[:1])
	if n != 0 || err == nil || !strings.HasPrefix(err.Error(), "a compressed message is corrupt: ") || u.pending != nil {
		t.Errorf("%d, %v, %d are pending", n, err, len(u.pending))
	}
}

// The memory of a large message does not stay with the connection, in either
// direction, nor do a message's frames get longer than MaxFrame.
func TestLargeMessageLeavesNoMemory(t *testing.T) {
	noise := make([]byte, 32<<20)
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	u, body := compressed(&bothKeep, Options{ReadLimit: -1, MaxFrame: 1 << 20})
	var b Batch
	b.Add(wire.Binary, noise)
	frames := 0
	for !b.Done() {
		if _, _, err := u.Write(&b); err != nil {
			t.Fatal(err)
		}
		frames++
		body.took.Reset()
	}
	b.Reset()
	payload := deflate.NewDeflater(32<<10, false).Deflate(nil, noise, true)
	n := len(payload)
	body.Reset(append([]byte{0xc2, 127, 0, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, payload...))
	events := make([]Event, 4)
	if _, _, err := u.Read(events); err != nil || len(events[0].Data) != len(noise) {
		t.Fatal(err)
	}
	body.Reset(nil)
	clear(events)
	noise, payload, body.took = nil, nil, bytes.Buffer{}
	for range 3 { // pools are emptied in two steps
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 4<<20 {
		t.Errorf("%d bytes are kept", m.HeapAlloc)
	}
	runtime.KeepAlive(u)
}
