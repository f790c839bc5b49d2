package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// serverFrame is an unmasked frame, by the simplest means.
func serverFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n <= 125:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// describe reads to the end and says what came.
func describe(src io.Reader, limit int64, deflate, reuse bool, batch int) (got []string, err error) {
	r := NewReader(src, limit, deflate, reuse)
	defer r.Close()
	events := make([]Event, batch)
	for {
		n, err := r.Read(events)
		for _, ev := range events[:n] {
			s := fmt.Sprintf("%d %v %d %s", ev.Op, ev.Compressed, ev.Code, ev.Data)
			if ev.Memory != nil {
				if ev.Cost < len(ev.Data) {
					s += " costs too little"
				}
				ev.Memory.Release()
			}
			got = append(got, s)
		}
		if err != nil {
			return got, err
		}
	}
}

// pieces gives its bytes in reads of random sizes.
type pieces struct {
	b   []byte
	rnd *rand.Rand
}

func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := min(len(dst), len(p.b))
	if p.rnd.IntN(3) > 0 {
		n = min(n, 1+p.rnd.IntN(700))
	}
	copy(dst, p.b[:n])
	p.b = p.b[n:]
	return n, nil
}

// Whatever the sizes of messages, fragments and reads, what was sent comes, in
// its order, also in memory that is used again.
func TestRandomStreams(t *testing.T) {
	Poison = true
	defer func() { Poison = false }()
	sizes := []int{0, 1, 2, 100, 125, 126, 127, 511, 512, 513, 4096, 16383, 16384, 65535, 65536, 70000, 200000}
	for seed := range uint64(100) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var stream []byte
		var want []string
		control := func() {
			for rnd.IntN(3) == 0 {
				op := []Op{Ping, Pong}[rnd.IntN(2)]
				p := []byte(strings.Repeat("c", rnd.IntN(126)))
				stream = append(stream, serverFrame(Fin|byte(op), p)...)
				want = append(want, fmt.Sprintf("%d false 0 %s", op, p))
			}
		}
		for range rnd.IntN(40) {
			op := []Op{Text, Binary}[rnd.IntN(2)]
			data := []byte(strings.Repeat("aé大😀", sizes[rnd.IntN(len(sizes))]/10+1))
			data = data[:len(data)*rnd.IntN(5)/4]
			if op == Text {
				for len(data) > 0 && !utf8.Valid(data) {
					data = data[:len(data)-1]
				}
			}
			compressed := rnd.IntN(8) == 0
			first := byte(op)
			if compressed {
				first |= RSV1
			}
			for rest := data; ; {
				control()
				n := len(rest)
				if rnd.IntN(3) == 0 {
					n = rnd.IntN(n + 1)
				}
				if n == len(rest) {
					stream = append(stream, serverFrame(Fin|first, rest)...)
					break
				}
				stream = append(stream, serverFrame(first, rest[:n])...)
				first, rest = 0, rest[n:]
			}
			want = append(want, fmt.Sprintf("%d %v 0 %s", op, compressed, data))
		}
		stream = append(stream, serverFrame(Fin|byte(Close), []byte{3, 232, 'o', 'k'})...)
		want = append(want, fmt.Sprintf("8 false 1000 %s", "ok"))
		for _, reuse := range []bool{false, true} {
			got, err := describe(&pieces{stream, rnd}, -1, true, reuse, 1+rnd.IntN(20))
			if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Fatalf("seed %d, reuse %v: %d events and not %d, then %v", seed, reuse, len(got), len(want), err)
			}
		}
	}
}

// FuzzReader checks that it does not matter in which pieces a stream comes, that
// nothing panics, and that what is too long is not read.
func FuzzReader(f *testing.F) {
	for _, s := range [][]byte{
		serverFrame(0x81, []byte("hello")), serverFrame(0x01, []byte("he")), serverFrame(0x80, nil),
		serverFrame(0x88, []byte{3, 232}), serverFrame(0x89, nil), {0x81, 127, 0x80}, {0xc2, 3, 1, 2, 3},
		append(serverFrame(1, []byte("\xf0\x9f")), serverFrame(0x80, []byte("\x98\x80"))...),
	} {
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, stream []byte, deflate bool) {
		const limit = 3000
		whole, err := describe(bytes.NewReader(stream), limit, deflate, false, 7)
		for _, reuse := range []bool{false, true} {
			parts, err2 := describe(iotest.OneByteReader(bytes.NewReader(stream)), limit, deflate, reuse, 1)
			if strings.Join(whole, "\n") != strings.Join(parts, "\n") || err.Error() != err2.Error() {
				t.Errorf("in one piece\n%v, %v\nin many\n%v, %v", whole, err, parts, err2)
			}
		}
	})
}

// Text is refused at the first byte after which nothing could make it valid.
func TestTextIsRefusedAtTheByteThatShowsIt(t *testing.T) {
	possible := func(p []byte) bool {
		var try func(p []byte, more int) bool
		try = func(p []byte, more int) bool {
			if utf8.Valid(p) {
				return true
			}
			if more == 0 {
				return false
			}
			for _, c := range []byte{0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf} {
				if try(append(bytes.Clone(p), c), more-1) {
					return true
				}
			}
			return false
		}
		return try(p, 3)
	}
	if t1, t2 := new(text), new(text); !t1.add([]byte("\xef\xbf\xbd")) || !t2.add([]byte("\xef")) || !t2.add([]byte("\xbf\xbd")) || !t2.ends() {
		t.Error("U+FFFD is refused")
	}
	bytesOf := []byte{'a', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe2, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		p := make([]byte, rnd.IntN(9))
		for i := range p {
			p[i] = bytesOf[rnd.IntN(len(bytesOf))]
		}
		bad := len(p) + 1
		for i := range p {
			if !possible(p[:i+1]) {
				bad = i + 1
				break
			}
		}
		var one, two text
		at := len(p) + 1
		for i := range p {
			if !one.add(p[i : i+1]) {
				at = i + 1
				break
			}
		}
		if at != bad {
			t.Fatalf("%x is refused at byte %d and not %d", p, at, bad)
		}
		cut := rnd.IntN(len(p) + 1)
		ok := two.add(p[:cut]) && two.add(p[cut:])
		if ok != (bad > len(p)) || ok && two.ends() != utf8.Valid(p) {
			t.Fatalf("%x, cut at %d: %v", p, cut, ok)
		}
	}
}

func TestMasking(t *testing.T) {
	rnd := rand.New(rand.NewPCG(2, 2))
	for size := range 300 {
		src := make([]byte, size)
		for i := range src {
			src[i] = byte(rnd.Uint32())
		}
		key := rnd.Uint32()
		want := bytes.Clone(src)
		for i := range want {
			want[i] ^= byte(key >> (8 * (i % 4)))
		}
		if got := AppendMasked([]byte("x"), src, key); !bytes.Equal(got[1:], want) || got[0] != 'x' {
			t.Fatalf("%d bytes", size)
		}
		cut := rnd.IntN(size + 1)
		got := AppendMasked(AppendMasked(nil, src[:cut], key), src[cut:], KeyAfter(key, cut))
		if !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, cut at %d", size, cut)
		}
	}
}

// Random bytes are of one key each.
func TestNoKeyIsUsedTwice(t *testing.T) {
	k := &Keys{left: 1024}
	for i := range 256 {
		binary.LittleEndian.PutUint32(k.random[4*i:], uint32(i)<<24|uint32(i)<<8)
	}
	seen := map[uint32]bool{}
	for range 256 {
		key := k.Next()
		if i := key >> 24; i<<24|i<<8 != key || seen[key] {
			t.Fatalf("%x is of other bytes, or came twice", key)
		}
		seen[key] = true
	}
	for range 4000 { // of 2³²: the odds of a pair are 1 in 500
		seen[k.Next()] = true
	}
	if len(seen) < 4250 {
		t.Errorf("%d keys of 4256", len(seen))
	}
}

// A message of ReadLimit bytes comes and one of a byte more does not. What is
// compressed may be larger by what can't be compressed.
func TestLimitIsExact(t *testing.T) {
	for _, limit := range []int{0, 1, 125, 1000, 100_000} {
		for _, rsv1 := range []byte{0, RSV1} {
			most := limit
			if rsv1 != 0 {
				most += limit/8 + 1024
			}
			for size, want := range map[int]bool{most: true, most + 1: false} {
				payload := make([]byte, size)
				whole := serverFrame(Fin|rsv1|byte(Binary), payload)
				fragments := append(serverFrame(rsv1|byte(Binary), payload[:size/2]), serverFrame(Fin, payload[size/2:])...)
				for name, stream := range map[string][]byte{"whole": whole, "in fragments": fragments} {
					got, err := describe(bytes.NewReader(stream), int64(limit), true, false, 1)
					if v := (*Violation)(nil); (len(got) == 1) != want || errors.As(err, &v) == want || !want && v.Code != TooBig {
						t.Errorf("limit %d, rsv1 %#x, %d bytes %s: %d messages, %v", limit, rsv1, size, name, len(got), err)
					}
				}
			}
		}
	}
}

// Without a limit, fragments may not claim more than can be counted.
func TestFragmentsThatClaimTooMuch(t *testing.T) {
	stream := append(serverFrame(byte(Binary), []byte("x")), Fin, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	var v *Violation
	if got, err := describe(bytes.NewReader(stream), -1, false, false, 1); len(got) != 0 || !errors.As(err, &v) || v.Code != TooBig {
		t.Errorf("%q, %v", got, err)
	}
}

// What nobody has released is not written to, whatever is read after it, and larger
// memory than there is a pool for is none of a pool.
func TestMessagesStayUntilTheyAreReleased(t *testing.T) {
	Poison = true
	defer func() { Poison = false }()
	rnd := rand.New(rand.NewPCG(3, 4))
	var stream []byte
	var want [][]byte
	for i := range 400 {
		size := []int{10, 300, 2000, 20_000}[rnd.IntN(4)]
		if i%100 == 50 {
			size = 1<<maxClass + 1
		}
		payload := bytes.Repeat([]byte{byte(i)}, size)
		stream, want = append(stream, serverFrame(Fin|byte(Binary), payload)...), append(want, payload)
	}
	r := NewReader(&pieces{stream, rnd}, -1, false, true)
	defer r.Close()
	var kept []Event
	for {
		events := make([]Event, 8)
		n, err := r.Read(events)
		kept = append(kept, events[:n]...)
		if err != nil {
			break
		}
	}
	if len(kept) != len(want) {
		t.Fatalf("%d messages of %d came", len(kept), len(want))
	}
	for i := range kept {
		if !bytes.Equal(kept[i].Data, want[i]) {
			t.Fatalf("message %d of %d bytes has changed", i, len(want[i]))
		}
		kept[i].Release()
	}
}

// One small message that is kept does not keep more memory alive than it was
// charged for.
func TestCostCoversWhatAMessageKeeps(t *testing.T) {
	var stream []byte
	for range 2000 {
		stream = append(stream, serverFrame(0x82, []byte("m"))...)
		for range 20 {
			stream = append(stream, serverFrame(0x89, make([]byte, 125))...)
		}
	}
	r := NewReader(bytes.NewReader(stream), -1, false, true)
	defer r.Close()
	events := make([]Event, 16)
	kept := map[*Memory]bool{}
	cost, size := 0, 0
	for {
		n, err := r.Read(events)
		for _, ev := range events[:n] {
			if ev.Op == Binary {
				kept[ev.Memory] = true
				cost += ev.Cost
			}
		}
		if err != nil {
			break
		}
	}
	for m := range kept {
		size += len(m.b)
	}
	if size > cost+2*largeRead {
		t.Errorf("%d bytes are kept, and %d were charged", size, cost)
	}
}

func BenchmarkAppendFrame(b *testing.B) {
	for _, size := range []int{64, 4096} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			k := new(Keys)
			src, dst := make([]byte, size), make([]byte, 0, size+14)
			b.SetBytes(int64(size))
			for b.Loop() {
				AppendFrame(dst, 0x82, src, k)
			}
		})
	}
}

func BenchmarkReader(b *testing.B) {
	for _, size := range []int{120, 4096, 65536} {
		for _, reuse := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/reuse=%v", size, reuse), func(b *testing.B) {
				frame := serverFrame(0x82, make([]byte, size))
				stream := bytes.Repeat(frame, 1<<20/len(frame)+1)
				events := make([]Event, 16)
				r := NewReader(&endless{b: stream}, -1, false, reuse)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for left := b.N; left > 0; {
					n, _ := r.Read(events[:min(16, left)])
					for _, ev := range events[:n] {
						if ev.Memory != nil {
							ev.Memory.Release()
						}
					}
					left -= n
				}
			})
		}
	}
}

type endless struct {
	b  []byte
	at int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.b[e.at:])
	if e.at += n; e.at == len(e.b) {
		e.at = 0
	}
	return n, nil
}

// A source that returns neither bytes nor an error, again and again, does not keep a processor busy
// for ever.
func TestReaderOfASourceThatReturnsNothing(t *testing.T) {
	src := &nothing{stream: []byte("\x81\x01a"), before: 99}
	r := NewReader(src, 1000, false, false)
	defer r.Close()
	events := make([]Event, 2)
	if n, err := r.Read(events); n != 1 || err != nil {
		t.Fatalf("%d events, %v", n, err)
	}
	if n, err := r.Read(events); n != 0 || err != io.ErrNoProgress {
		t.Errorf("%d events, %v", n, err)
	}
	// An error with the last of as many is what it is.
	left, broken := MaxEmpty, errors.New("broken")
	last := NewReader(sourceFunc(func([]byte) (int, error) {
		if left--; left == 0 {
			return 0, broken
		}
		return 0, nil
	}), 1000, false, false)
	defer last.Close()
	if n, err := last.Read(events); n != 0 || err != broken {
		t.Errorf("%d events, %v", n, err)
	}
}

// nothing returns a stream after some reads of nothing, and then nothing.
type nothing struct {
	stream []byte
	before int
}

func (s *nothing) Read(p []byte) (int, error) {
	if s.before--; s.before == -1 {
		return copy(p, s.stream), nil
	}
	return 0, nil
}
