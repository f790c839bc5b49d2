package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// A header has the shortest length that there is for its payload, RFC 6455, section 5.2.
func TestHeaders(t *testing.T) {
	for size, want := range map[int]string{
		0:         "\x82\x80",
		125:       "\x82\xfd",
		126:       "\x82\xfe\x00\x7e",
		65535:     "\x82\xfe\xff\xff",
		65536:     "\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00",
		1<<31 - 7: "\x82\xff\x00\x00\x00\x00\x7f\xff\xff\xf9",
	} {
		if got := AppendHeader([]byte("x"), Fin|byte(Binary), size, 0x04030201); string(got) != "x"+want+"\x01\x02\x03\x04" || len(got)-1 > MaxHeader {
			t.Errorf("%d bytes: %x", size, got)
		}
	}
	frame := AppendFrame([]byte("x"), Fin|byte(Text), []byte("hello"), new(Keys))
	key := binary.LittleEndian.Uint32(frame[3:])
	if string(frame[:3]) != "x\x81\x85" || string(AppendMasked(nil, frame[7:], key)) != "hello" {
		t.Errorf("%x", frame)
	}
}

func TestClosePayloads(t *testing.T) {
	if got := ClosePayload(NoStatus, ""); got != nil {
		t.Errorf("%x of none", got)
	}
	if got := string(ClosePayload(1001, "bye")); got != "\x03\xe9bye" {
		t.Errorf("%x", got)
	}
	for code := range 1 << 16 {
		want := false // RFC 6455, 7.4, and the registry of IANA
		switch {
		case code == 1004 || code == 1005 || code == 1006 || code == 1015:
		case code >= 1000 && code <= 1014, code >= 3000 && code <= 4999:
			want = true
		}
		got, reason, err := parseClose(binary.BigEndian.AppendUint16(nil, uint16(code)))
		if (err == nil) != want || want && (int(got) != code || len(reason) != 0) {
			t.Errorf("%d: %d %q, %v", code, got, reason, err)
		}
	}
}

// What a server must not send is refused with the code and the words that say what it was, at once,
// and nothing comes of it. What is allowed next to it is not.
func TestViolations(t *testing.T) {
	fragment := string(serverFrame(byte(Text), []byte("a")))
	limited := func(n int) string { return "\x82\x7e" + string([]byte{byte(n >> 8), byte(n)}) }
	for _, test := range []struct {
		stream string
		code   int
		want   string // "": allowed
	}{
		{"\x81\x81", 1002, "a frame of the server is masked"},
		{"\x81\x80", 1002, "a frame of the server is masked"},
		{"\x82\x7e\x00\x7d", 1002, "a frame's length is not in its shortest form"},
		{"\x82\x7e\x00\x7e", 0, ""},
		{"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 1002, "a frame's length is not in its shortest form"},
		{"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 1002, "a frame's length is negative: its highest bit is set"},
		{"\xa1\x00", 1002, "a frame with the opcode 0x1 has unexpected rsv bits set: 010"},
		{"\x91\x00", 1002, "a frame with the opcode 0x1 has unexpected rsv bits set: 001"},
		{"\xe2\x00", 1002, "a frame with the opcode 0x2 has unexpected rsv bits set: 110"},
		{"\xc9\x00", 1002, "a frame with the opcode 0x9 has unexpected rsv bits set: 100"},
		{"\x41\x00\xc0\x00", 1002, "a frame with the opcode 0x0 has unexpected rsv bits set: 100"},
		{fragment + "\x81\x00", 1002, "a new message began without finishing the one before, which came in fragments"},
		{fragment + "\x02\x00", 1002, "a new message began without finishing the one before, which came in fragments"},
		{fragment + "\x89\x00", 0, ""},
		{"\x80\x00", 1002, "a continuation frame came without a message"},
		{"\x00\x00", 1002, "a continuation frame came without a message"},
		{"\x09\x00", 1002, "a fragmented control frame came"},
		{"\x08\x00", 1002, "a fragmented control frame came"},
		{"\x8a\x7e\x00\x7e", 1002, "a control frame has the invalid length 126; at most 125 bytes are allowed"},
		{"\x89\x7d", 0, ""},
		{"\x83\x00", 1002, "a frame has the unknown opcode 0x3"},
		{"\x87\x00", 1002, "a frame has the unknown opcode 0x7"},
		{"\x8b\x00", 1002, "a frame has the unknown opcode 0xb"},
		{"\x8f\x00", 1002, "a frame has the unknown opcode 0xf"},
		{limited(1000), 0, ""},
		{limited(1001), 1009, "a message is too big: it has 1001 bytes or more, and ReadLimit is 1000"},
		{fragment + "\x80\x7e\x03\xe7", 0, ""},
		{fragment + "\x80\x7e\x03\xe8", 1009, "a message is too big: it has 1001 bytes or more, and ReadLimit is 1000"},
		{"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", 1009, "a message is too big: it has 9223372036854775807 bytes or more, and ReadLimit is 1000"},
		{"\x81\x02\xc3\x28", 1007, "a text message is not valid UTF-8"},
		{"\x81\x01\xc3", 1007, "a text message is not valid UTF-8"},
		{"\x81\x04\xff", 1007, "a text message is not valid UTF-8"}, // at its first byte
		{"\x01\x01\xc3\x80\x01\x28", 1007, "a text message is not valid UTF-8"},
		{"\x01\x01\xc3\x80\x00", 1007, "a text message is not valid UTF-8"},
		{"\x88\x00", 0, ""},
		{"\x88\x01x", 1002, "the payload of a close frame is too small: it has 1 byte, and a close code takes 2"},
		{"\x88\x02\x03\xed", 1002, "a close frame has the invalid status code 1005"},
		{"\x88\x03\x03\xe8\xff", 1007, "the reason of a close frame is not valid UTF-8"},
	} {
		for _, first := range []string{"", "\x82\x01x"} { // and behind a message, which comes
			r := NewReader(strings.NewReader(first+test.stream), 1000, true, false)
			events := make([]Event, 4)
			n, err := 0, error(nil)
			for more := 0; err == nil; n += more {
				more, err = r.Read(events[n:])
			}
			if first != "" && (n < 1 || string(events[0].Data) != "x") {
				t.Errorf("%x: the message before did not come", test.stream)
			}
			var v *Violation
			switch {
			case test.want == "" && err != io.ErrUnexpectedEOF:
				t.Errorf("%x: %v", test.stream, err)
			case test.want != "" && (!errors.As(err, &v) || v.Code != test.code || v.Text != test.want || n != len(first)/3):
				t.Errorf("%x: %d events and %v, expected %d %s", test.stream, n, err, test.code, test.want)
			}
			if _, again := r.Read(events); again != err {
				t.Errorf("%x: %v after %v", test.stream, again, err)
			}
			r.Close()
		}
	}
}

// Also in the rest of a large frame, before all of it has come; and the end of a message in pieces is checked.
func TestLargeTextIsRefusedAtTheByteThatShowsIt(t *testing.T) {
	frame := string(serverFrame(Fin|byte(Text), []byte(strings.Repeat("a", 2*largeFrame-1)+"\xc3")))
	for name, pieces := range map[string][]string{
		"in the middle": {frame[:512], frame[512:600] + "\xff", frame[601:]},
		"at the end":    {frame[:512], frame[512:]},
	} {
		src := &script{pieces: pieces}
		r := NewReader(src, -1, false, false)
		n, err := r.Read(make([]Event, 1))
		if n != 0 || err != ErrNotUTF8 || len(src.asked) != 2 {
			t.Errorf("%s: %d, %v after %d reads", name, n, err, len(src.asked))
		}
		r.Close()
	}
}

// A close frame may have nothing in it, a code, or a code and a reason.
func TestCloseFrames(t *testing.T) {
	for stream, want := range map[string]string{"\x88\x00": "8 false 1005 ", "\x88\x02\x03\xe8": "8 false 1000 ", "\x88\x05\x0b\xb8bye": "8 false 3000 bye"} {
		got, err := describe(strings.NewReader(stream), 1000, false, false, 1)
		if len(got) != 1 || got[0] != want || err != io.ErrUnexpectedEOF {
			t.Errorf("%q, %v, expected %q", got, err, want)
		}
	}
}

// A compressed message is not text yet.
func TestCompressedTextIsNotChecked(t *testing.T) {
	stream := string(serverFrame(Fin|RSV1|byte(Text), []byte("\xff"))) +
		string(serverFrame(RSV1|byte(Text), []byte("\xff"))) + string(serverFrame(Fin, []byte("\xc3")))
	got, err := describe(strings.NewReader(stream), 1000, true, false, 1)
	if strings.Join(got, "|") != "1 true 0 \xff|1 true 0 \xff\xc3" || err != io.ErrUnexpectedEOF {
		t.Errorf("%q, %v", got, err)
	}
}

// Fail makes a violation of what its caller found, and Close ends all.
func TestReaderThatHasFailed(t *testing.T) {
	r := NewReader(strings.NewReader("\x82\x01x\x82\x01y"), -1, false, true)
	events := make([]Event, 1)
	if n, err := r.Read(events); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	bad := violation(TooBig, "it is")
	r.Fail(bad)
	if n, err := r.Read(events); n != 0 || err != bad {
		t.Errorf("%d, %v", n, err)
	}
	r.Close()
	if n, err := r.Read(events); n != 0 || err != io.ErrClosedPipe {
		t.Errorf("closed: %d, %v", n, err)
	}
}

// script returns one piece for each read, and an error with the last.
type script struct {
	pieces []string
	err    error
	asked  []int // how many bytes each read had space for
}

func (s *script) Read(p []byte) (n int, err error) {
	s.asked = append(s.asked, len(p))
	if len(s.pieces) > 0 {
		if n = copy(p, s.pieces[0]); n < len(s.pieces[0]) {
			s.pieces[0] = s.pieces[0][n:]
			return n, nil
		}
		s.pieces = s.pieces[1:]
	}
	if len(s.pieces) == 0 {
		err = s.err
	}
	return n, err
}

// What came with an error is returned first, and then the error; the end of the stream is not that of a message.
func TestErrorsOfTheSource(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct{ err, want error }{{broken, broken}, {io.EOF, io.ErrUnexpectedEOF}} {
		for _, reuse := range []bool{false, true} {
			r := NewReader(&script{pieces: []string{"\x82\x01x\x82\x05yy"}, err: test.err}, -1, false, reuse)
			events := make([]Event, 3)
			n, err := r.Read(events)
			if n != 1 || err != nil || string(events[0].Data) != "x" {
				t.Errorf("%d, %v", n, err)
			}
			for range 2 {
				if n, err := r.Read(events); n != 0 || err != test.want {
					t.Errorf("%d, %v, expected %v", n, err, test.want)
				}
			}
			r.Close()
		}
	}
	// Also in the middle of a payload that is read straight to its message.
	stream := string(serverFrame(Fin|byte(Binary), make([]byte, 3*largeFrame)))
	r := NewReader(&script{pieces: []string{stream[:largeFrame]}, err: broken}, -1, false, false)
	defer r.Close()
	if n, err := r.Read(make([]Event, 1)); n != 0 || err != broken {
		t.Errorf("%d, %v", n, err)
	}
}

// Memory has the size of its class, and what is larger than the largest is not pooled.
func TestMemoryClasses(t *testing.T) {
	for size, want := range map[int]int{
		0: 512, 1: 512, 512: 512, 513: 1024, 1024: 1024, 1025: 2048, 1<<20 - 1: 1 << 20, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1,
	} {
		m := getMemory(size)
		if len(m.b) != want || m.refs.Load() != 1 || (m.class < 0) != (size > 1<<maxClass) {
			t.Errorf("%d bytes: %d in class %d, held %d times", size, len(m.b), m.class, m.refs.Load())
		}
		m.Release()
	}
}

// Released memory is overwritten if Poison asks for that, once nobody holds it and not before.
func TestPoison(t *testing.T) {
	for _, poison := range []bool{false, true} {
		Poison = poison
		m := getMemory(1<<20 + 1) // none of a pool
		m.refs.Add(2)
		m.b[7] = 'x'
		m.ReleaseN(2)
		if m.b[7] != 'x' {
			t.Error("it was overwritten while it was held")
		}
		m.Release()
		if m.b[7] == 'x' == poison || poison && !bytes.Equal(m.b, bytes.Repeat([]byte{0xdb}, len(m.b))) {
			t.Errorf("poison %v: %x", poison, m.b[:8])
		}
	}
	Poison = false
}

// What a compressed message has become takes its place, and costs the larger of both.
func TestDecompressed(t *testing.T) {
	grown := func(n, capacity int) []byte {
		return append(make([]byte, 0, capacity), bytes.Repeat([]byte{'d'}, n)...)
	}
	for _, test := range []struct {
		came        int
		data        []byte
		take, reuse bool
		taken       bool // it is data itself
		cost        int
	}{
		{came: 10, data: grown(100, 100), cost: MinCost},
		{came: 10, data: grown(1000, 5000), cost: 1000},
		{came: 3000, data: grown(1000, 5000), cost: 3000},
		{came: 10, data: grown(1000, 1000), take: true, taken: true, cost: 1000},
		{came: 10, data: grown(1000, 1125), take: true, taken: true, cost: 1125},
		{came: 10, data: grown(1000, 1126), take: true, cost: 1000},
		{came: 3000, data: grown(1000, 1125), take: true, taken: true, cost: 3000},
		{came: 10, data: grown(1000, 1000), reuse: true, cost: 1024},
		{came: 3000, data: grown(1000, 1000), reuse: true, cost: 3000},
		{came: 10, data: grown(1000, 1125), take: true, reuse: true, taken: true, cost: 1125},
		{came: 10, data: grown(1000, 1126), take: true, reuse: true, cost: 1024},
		{came: 10, data: grown(0, 0), reuse: true, cost: 512},
		{came: 10, data: grown(0, 0), cost: MinCost},
	} {
		m := getMemory(1<<20 + 1)
		ev := Event{Op: Text, Compressed: true, Memory: m, Data: m.b[:test.came], Cost: 7}
		ev.Decompressed(test.data, test.take, test.reuse)
		if m.refs.Load() != 0 {
			t.Error("what came was not released")
		}
		taken := cap(test.data) > 0 && &ev.Data[:1][0] == &test.data[:1][0]
		if !bytes.Equal(ev.Data, test.data) || cap(ev.Data) != len(ev.Data) || taken != test.taken || (ev.Memory != nil) != (test.reuse && !test.taken) ||
			ev.Compressed || ev.Op != Text || ev.Cost != test.cost {
			t.Errorf("%d bytes of %d, take %v, reuse %v: %d bytes, taken %v, memory %v, cost %d, expected %d",
				len(test.data), cap(test.data), test.take, test.reuse, len(ev.Data), taken, ev.Memory != nil, ev.Cost, test.cost)
		}
		ev.Release()
		ev.Release() // of nothing
		if ev.Memory != nil {
			t.Error("it still has memory")
		}
	}
}

// A message costs what was taken for it, and of shared memory all that came since the message before.
func TestCosts(t *testing.T) {
	ping := string(serverFrame(Fin|byte(Ping), make([]byte, 125)))
	small, large := string(serverFrame(Fin|byte(Binary), []byte("x"))), string(serverFrame(Fin|byte(Binary), make([]byte, 1000)))
	fragments := string(serverFrame(byte(Binary), make([]byte, 300))) + string(serverFrame(Fin, make([]byte, 400)))
	for _, test := range []struct {
		stream string
		reuse  bool
		want   []int // after what fills the small buffer
	}{
		{small + large + small, false, []int{256, 1000, 256}},
		{large + fragments, false, []int{1000, 700}},
		{small + large + small, true, []int{256, 1004, 256}},
		{small + ping + ping + ping + small + small, true, []int{256, 3*127 + 3, 256}},
		{fragments + small, true, []int{1024, 256}},
	} {
		r := NewReader(strings.NewReader(strings.Repeat(small, 600)+test.stream), -1, false, test.reuse)
		events := make([]Event, 1000)
		var got []int
		for seen := 0; ; {
			n, err := r.Read(events)
			for _, ev := range events[:n] {
				if ev.Op == Binary {
					if seen++; seen > 600 {
						got = append(got, ev.Cost)
					}
				}
				ev.Release()
			}
			if err != nil {
				break
			}
		}
		r.Close()
		if len(got) != len(test.want) {
			t.Fatalf("%d messages", len(got))
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("reuse %v: %v, expected %v", test.reuse, got, test.want)
				break
			}
		}
	}
}

// A server that says how much will come gets no more memory for it than 1 MiB, and twice as much as has come
// from then on: never more than the message or its limit, and in few steps.
func TestMemoryFollowsWhatHasCome(t *testing.T) {
	header := func(first byte, size int) string {
		return string(binary.BigEndian.AppendUint64([]byte{first, 127}, uint64(size)))
	}
	frame := func(first byte, size int) string { return header(first, size) + strings.Repeat("p", size) }
	for name, test := range map[string]struct {
		limit        int64
		stream       string
		first, final int // what is taken at once, and in the end
	}{
		"1 GiB that never come":  {-1, header(Fin|byte(Binary), 1<<30) + strings.Repeat("p", 5_000_000), trustedSize, 8 << 20},
		"a frame":                {-1, frame(Fin|byte(Binary), 3_000_000), trustedSize, 3_000_000},
		"a small one":            {-1, frame(Fin|byte(Binary), 1<<19), 1 << 19, 1 << 19},
		"fragments":              {-1, frame(byte(Binary), 1<<18) + frame(0, 1_500_000) + frame(Fin, 1<<18), 1 << 18, 2 << 20},
		"an unlimited fragment":  {-1, frame(byte(Binary), 1_200_000) + frame(Fin, 1_200_000), trustedSize, 2_400_000},
		"fragments with a limit": {1_700_000, frame(byte(Binary), 1_200_000) + frame(Fin, 500_000), trustedSize, 1_700_000},
		"a limit of less":        {1 << 19, frame(byte(Binary), 1<<18) + frame(Fin, 1<<18), 1 << 18, 1 << 19},
		"compressed":             {1_100_000, frame(Fin|RSV1|byte(Binary), 1_200_000), trustedSize, 1_200_000},
		"compressed fragments":   {1_100_000, frame(RSV1|byte(Binary), 1_200_000) + frame(Fin, 1000), trustedSize, 2 << 20},
	} {
		for _, reuse := range []bool{false, true} {
			var r *Reader
			var steps []int
			taken := map[*Memory]bool{}
			rest := test.stream
			r = NewReader(sourceFunc(func(p []byte) (int, error) {
				if r.mem != nil {
					taken[r.mem] = true
				}
				if size := cap(r.data); size > 0 && (len(steps) == 0 || size != steps[len(steps)-1]) {
					steps = append(steps, size)
				}
				if rest == "" {
					return 0, io.EOF
				}
				n := copy(p[:min(len(p), 10_000)], rest)
				rest = rest[n:]
				return n, nil
			}), test.limit, true, reuse)
			events := make([]Event, 1)
			n, _ := r.Read(events)
			if n == 1 {
				steps = append(steps, events[0].Cost)
				events[0].Release()
			}
			if steps[0] != test.first || steps[len(steps)-1] != test.final || len(steps) > 5 {
				t.Errorf("%s, reuse %v: memory of %d bytes, expected %d at first and %d in the end", name, reuse, steps, test.first, test.final)
			}
			r.Close()
			if r.mem != nil || r.data != nil || r.large.Memory != nil {
				t.Errorf("%s: a Reader that is closed has memory", name)
			}
			for m := range taken {
				if m.refs.Load() != 0 {
					t.Errorf("%s: memory of %d bytes was not released", name, len(m.b))
				}
			}
		}
	}
}

type sourceFunc func(p []byte) (int, error)

func (f sourceFunc) Read(p []byte) (int, error) { return f(p) }

// A Reader asks for 512 bytes while little comes, for 64 KiB behind a read that was filled by small frames, and for the
// rest of a large frame alone. What messages share is not written to again.
func TestSizesOfReads(t *testing.T) {
	whole := func(size int) string { return string(serverFrame(Fin|byte(Binary), make([]byte, size))) }
	fill := whole(252) + whole(252)                // 512 bytes
	much := strings.Repeat(whole(largeFrame-4), 4) // 65536
	rest := "\x89\x04p"
	for name, test := range map[string]struct {
		pieces []string
		want   []int
	}{
		"little":                 {[]string{whole(1), whole(507), whole(1)}, []int{512, 512, 512}},
		"a part of a ping":       {[]string{rest, "in", "g" + rest}, []int{512, 509, 507}},
		"much":                   {[]string{fill, whole(1), whole(1)}, []int{512, 65536, 512}},
		"much, and half a frame": {[]string{fill[:509] + rest, "ing"}, []int{512, 65536}},
		"much again":             {[]string{fill, much, whole(1), whole(1)}, []int{512, 65536, 65536, 512}},
		"a byte less":            {[]string{fill, much[:65535], much[65535:], whole(1)}, []int{512, 65536, 512, 512}},
		"a large frame":          {[]string{whole(largeFrame)[:512], strings.Repeat("p", largeFrame-508), whole(1)}, []int{512, largeFrame - 508, 512}},
		"one in parts": {[]string{whole(30_000)[:512], strings.Repeat("p", 20_000), strings.Repeat("p", 8980), strings.Repeat("p", 1), strings.Repeat("p", 511), whole(1)},
			[]int{512, 29_492, 9492, 512, 512, 512}},
		"one below it": {[]string{whole(largeFrame - 1)[:512], strings.Repeat("p", largeFrame-509), whole(1)}, []int{512, 65536, 512}},
	} {
		for _, reuse := range []bool{false, true} {
			for _, keep := range []bool{false, true} {
				src := &script{pieces: append([]string(nil), test.pieces...), err: io.EOF}
				r := NewReader(src, -1, false, reuse)
				var kept []Event
				for {
					events := make([]Event, 100)
					n, err := r.Read(events)
					if err != nil {
						break
					}
					for _, ev := range events[:n] {
						if !keep {
							ev.Release()
						} else {
							kept = append(kept, ev)
						}
					}
				}
				if !slices.Equal(src.asked, test.want) {
					t.Errorf("%s, reuse %v, keep %v: reads of %d, expected %d", name, reuse, keep, src.asked, test.want)
				}
				for _, ev := range kept {
					ev.Release()
				}
				m := r.large.Memory
				if r.Close(); r.large.Memory != nil || r.buf != nil || m != nil && m.refs.Load() != 0 {
					t.Errorf("%s: a Reader that is closed has memory", name)
				}
			}
		}
	}
}

// Large memory is used again for as long as no message is part of it.
func TestSharedMemoryIsUsedAgain(t *testing.T) {
	stream := strings.Repeat(string(serverFrame(Fin|byte(Binary), make([]byte, 252))), 3*largeRead/256)
	for _, test := range []struct {
		reuse, keep bool
		want        int // pieces of memory
	}{{false, true, 1}, {true, false, 1}, {true, true, 3}} {
		r := NewReader(strings.NewReader(stream), -1, false, test.reuse)
		used := map[*Memory]bool{}
		var kept []Event
		for {
			events := make([]Event, 300)
			n, err := r.Read(events)
			if err != nil {
				break
			}
			if r.large.Memory != nil {
				used[r.large.Memory] = true
			}
			for _, ev := range events[:n] {
				if kept = append(kept, ev); !test.keep {
					ev.Release()
				}
			}
		}
		r.Close()
		if len(used) != test.want {
			t.Errorf("reuse %v, keep %v: %d pieces of memory, expected %d", test.reuse, test.keep, len(used), test.want)
		}
		for _, ev := range kept {
			if test.keep {
				ev.Release()
			}
		}
		for m := range used {
			if m.refs.Load() != 0 {
				t.Errorf("reuse %v, keep %v: it is still held", test.reuse, test.keep)
			}
		}
	}
}
