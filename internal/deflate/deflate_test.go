package deflate

import (
	"bytes"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"strings"
	"testing"
)

// in decompresses one message with an Inflater.
func in(t *testing.T, f *Inflater, message []byte) []byte {
	t.Helper()
	data, err := f.Inflate(nil, message, math.MaxInt)
	if err != nil {
		t.Fatalf("%v, of %d bytes", err, len(message))
	}
	return data
}

// The kind of a block follows from sizes that are counted before it is written: they
// are those of what is written then, to the bit.
func TestCountedSizesAreThoseOfTheBlock(t *testing.T) {
	m := newMaker(1)
	sizeOf := func(write func(w *bitWriter)) int {
		var w bitWriter
		write(&w)
		return 8*len(w.out) + int(w.n)
	}
	for range 1000 {
		var s scratch
		kinds := 1 + m.IntN(256)
		for range m.IntN(500) {
			if m.IntN(3) > 0 {
				s.literals([]byte{byte(m.IntN(kinds))})
			} else {
				s.match(3+m.IntN(maxMatch-2), 1+m.IntN(1<<m.IntN(16)))
			}
		}
		want := sizeOf(func(w *bitWriter) {
			w.put(1<<1, 3)
			s.writeTokens(w, fixedLiteralCodes[:], fixedDistanceCodes[:])
		})
		if got := 3 + s.fixed + 7; got != want {
			t.Fatalf("the fixed codes: counted %d bits, written %d", got, want)
		}
		var own ownCodes
		s.measure(&own, math.MaxInt)
		want = sizeOf(func(w *bitWriter) { s.writeOwn(w, &own) })
		if !s.measure(new(ownCodes), want+1) || s.measure(new(ownCodes), want) {
			t.Fatalf("codes of its own: written %d bits, and counted others", want)
		}
	}
}

// What is compressed comes out again, in this package and in compress/flate: with
// every window, with and without takeover, in one call for a message or in many.
func TestRoundTrip(t *testing.T) {
	for window := 8; window <= 15; window++ {
		for _, takeover := range []bool{true, false} {
			t.Run(fmt.Sprint(window, takeover), func(t *testing.T) {
				m := newMaker(uint64(window))
				out, f := NewDeflater(1<<window, takeover), NewInflater(1<<window, takeover)
				var past []byte
				for range 300 {
					data := m.text(m.size())
					var message []byte
					for rest := data; ; {
						n := m.IntN(len(rest) + 1)
						if m.IntN(2) == 0 {
							n = len(rest)
						}
						message = out.Deflate(message, rest[:n], n == len(rest))
						if rest = rest[n:]; len(rest) == 0 {
							break
						}
					}
					if got := in(t, f, message); !bytes.Equal(got, data) {
						t.Fatalf("%d bytes came out as %d", len(data), len(got))
					}
					if got, ok := reference(past, message, 1<<20); !ok || !bytes.Equal(got, data) {
						t.Fatalf("compress/flate: %v, %d bytes came out as %d", ok, len(data), len(got))
					}
					if takeover {
						past = append(past, data...)
						past = past[max(0, len(past)-1<<window):]
					}
				}
			})
		}
	}
}

// compress/flate and this package agree on every message, be it right or wrong.
func TestInflateLikeCompressFlate(t *testing.T) {
	const limit = 100_000
	m := newMaker(1)
	count, accepted := 20_000, 0
	if testing.Short() {
		count = 2000
	}
	for range count {
		past := m.text(m.size())
		past = past[max(0, len(past)-32<<10):]
		var message []byte
		switch m.IntN(4) {
		case 0:
			message = m.blocks()
		case 1:
			out := NewDeflater(32<<10, true)
			out.Deflate(nil, past, true)
			message = out.Deflate(nil, m.text(m.size()), true)
		default:
			message = m.flated(past, m.text(m.size()))
		}
		if m.IntN(2) == 0 {
			message = m.damage(message)
		}
		if compare(t, past, message, limit) {
			accepted++
		}
	}
	t.Logf("%d accepted", accepted)
	if accepted < count/4 || accepted > count*3/4 {
		t.Errorf("%d of %d were accepted: the test shows little", accepted, count)
	}
}

// compare fails unless an Inflater accepts what compress/flate does, and reports
// whether they do.
func compare(t *testing.T, past, message []byte, limit int) (accepted bool) {
	t.Helper()
	f := NewInflater(32<<10, true)
	f.keep(past)
	prefix := []byte("before")
	got, err := f.Inflate(prefix, message, limit)
	want, ok := reference(past, message, limit)
	if (err == nil) != ok {
		t.Fatalf("%v, and compress/flate accepts it: %v\npast %q\nmessage %x", err, ok, past, message)
	}
	if ok && string(got) != "before"+string(want) {
		t.Fatalf("they differ: %d bytes and %d\npast %q\nmessage %x", len(got)-len(prefix), len(want), past, message)
	}
	return ok
}

func FuzzInflate(f *testing.F) {
	m := newMaker(2)
	for range 20 {
		past := m.text(200)
		f.Add(past, m.flated(past, m.text(400)))
		f.Add(past, m.blocks())
		f.Add([]byte{}, m.damage(m.blocks()))
	}
	f.Fuzz(func(t *testing.T, past, message []byte) {
		compare(t, past[max(0, len(past)-32<<10):], message, 1<<20)
	})
}

func FuzzDeflate(f *testing.F) {
	m := newMaker(3)
	for range 10 {
		f.Add(m.text(300), m.text(2000), uint8(m.Uint32()))
	}
	f.Fuzz(func(t *testing.T, first, second []byte, how uint8) {
		window, takeover := 8+int(how&7), how&8 != 0
		out, f := NewDeflater(1<<window, takeover), NewInflater(1<<window, takeover)
		var past []byte
		for i, data := range [][]byte{first, second, first} {
			n := int(how>>4) * len(data) / 15
			message := out.Deflate(nil, data[:n], false)
			message = out.Deflate(message, data[n:], true)
			if got := in(t, f, message); !bytes.Equal(got, data) {
				t.Fatalf("message %d came out as %q", i, got)
			}
			if got, ok := reference(past, message, len(data)); !ok || !bytes.Equal(got, data) {
				t.Fatalf("compress/flate: message %d came out as %q, %v", i, got, ok)
			}
			if takeover {
				past = append(past, data...)
				past = past[max(0, len(past)-1<<window):]
			}
		}
	})
}

func unhex(t *testing.T, s string) (b []byte) {
	t.Helper()
	if _, err := fmt.Sscanf(strings.ReplaceAll(s, " ", ""), "%x", &b); err != nil && s != "" {
		t.Fatal(err)
	}
	return b
}

// The examples of RFC 7692, 7.2.3, and what else a message may end with.
func TestMessagesOfTheRFC(t *testing.T) {
	for name, test := range map[string]struct{ message, want string }{
		"one block":                       {"f2 48 cd c9 c9 07 00", "Hello"},
		"the same again, by its window":   {"f2 48 cd c9 c9 07 00; f2 00 11 00 00", "Hello; Hello"},
		"a block without compression":     {"00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"},
		"a final block":                   {"f3 48 cd c9 c9 07 00 00", "Hello"},
		"two blocks":                      {"f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"},
		"an empty message":                {"00", ""},
		"an empty one, in a fixed block":  {"02 00", ""},
		"an empty one, in a final block":  {"03 00", ""},
		"nothing behind a final block":    {"f3 48 cd c9 c9 07 00", "Hello"},
		"a final block and one behind it": {"f3 48 cd c9 c9 07 00 f2 48 cd c9 c9 07 00", "HelloHello"},
		"a final block that is the tail":  {"f2 48 cd c9 c9 07 04", "Hello"},
		"the next after a final block":    {"f3 48 cd c9 c9 07 00 00; f2 00 11 00 00", "Hello; Hello"},
	} {
		f := NewInflater(32<<10, true)
		var got []string
		for _, message := range strings.Split(test.message, ";") {
			got = append(got, string(in(t, f, unhex(t, message))))
		}
		if strings.Join(got, "; ") != test.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A message that ends inside a block, or takes the tail for a part of it.
func TestMessageThatDoesNotEnd(t *testing.T) {
	for name, message := range map[string]string{
		"nothing at all":                          "",
		"cut inside a block":                      "f2 48 cd c9 c9",
		"no block behind the last":                "f2 48 cd c9 c9 01",
		"the tail is there already":               "f2 48 cd c9 c9 07 00 00 00 ff ff",
		"a stored block takes all of the tail":    "00 04 00 fb ff",
		"a stored block takes some of the tail":   "00 06 00 f9 ff 48 65 6c 6c",
		"the length of a stored block is cut":     "00 05",
		"the tail is the end of a length":         "00 ff",
		"the codes of a block are cut":            "04 c0",
		"the tail's zeros end a fixed block":      "4a 4c 04",
		"the tail's zeros end a final block":      "4b 4c 04",
		"behind a final block one that is cut":    "f3 48 cd c9 c9 07 00 f2 48",
		"behind a final block a stored, cut":      "03 00 00 05 00 fa ff 48",
		"a reserved type":                         "07",
		"a distance without a window":             "f2 00 11 00 00",
		"a length of a stored block that's wrong": "00 05 00 fa fe 48 65 6c 6c 6f 00",
	} {
		if data, err := NewInflater(32<<10, true).Inflate(nil, unhex(t, message), 1000); err == nil {
			t.Errorf("%s: accepted as %q", name, data)
		}
	}
}

// Each way in which a message can be wrong has its own error, and what came before it is there.
func TestWhatIsWrongWithAMessage(t *testing.T) {
	// fixed begins a block with the fixed codes, and has these literals.
	fixed := func(literals string) *bitWriter {
		w := new(bitWriter)
		w.put(1<<1, 3)
		for i := range len(literals) {
			w.putCode(fixedLiteralCodes[literals[i]])
		}
		return w
	}
	distance := func(w *bitWriter, symbol int) { w.putCode(code(bits.Reverse8(uint8(symbol))>>3) | 5<<16) }
	length := func(w *bitWriter, symbol int, extra uint32, n uint) {
		w.putCode(fixedLiteralCodes[symbol])
		w.put(extra, n)
	}
	nines := "\xff\xff\xff\xff\xff\xff" // 9 bits each: with a length of 7 bits they end with a byte
	for _, test := range []struct {
		name  string
		write func() *bitWriter
		limit int
		want  error
	}{
		{"a length that is none", func() *bitWriter { w := fixed("a"); length(w, 286, 0, 0); return w }, 99, errCode},
		{"the other", func() *bitWriter { w := fixed("a"); length(w, 287, 0, 0); return w }, 99, errCode},
		{"a distance that is none", func() *bitWriter { w := fixed("a"); length(w, 257, 0, 0); distance(w, 30); return w }, 99, errCode},
		{"the other", func() *bitWriter { w := fixed("a"); length(w, 257, 0, 0); distance(w, 31); return w }, 99, errCode},
		{"a literal that is cut", func() *bitWriter { w := fixed("a"); w.n = 0; return w }, 99, errTruncated},
		{"a second literal that is cut", func() *bitWriter {
			w := fixed("aa")
			w.out = append(w.out, byte(w.acc), byte(w.acc>>8))
			w.n = 0
			return w
		}, 99, errTruncated},
		{"a third literal that is cut", func() *bitWriter {
			w := fixed("aaa")
			w.out = append(w.out, byte(w.acc), byte(w.acc>>8), byte(w.acc>>16))
			w.n = 0
			return w
		}, 99, errTruncated},
		{"a length without its extra bits", func() *bitWriter { w := fixed(nines); length(w, 265, 0, 0); return w }, 99, errTruncated},
		{"a length without a distance", func() *bitWriter { w := fixed(nines); length(w, 257, 0, 0); return w }, 99, errTruncated},
		{"a distance without its extra bits", func() *bitWriter {
			w := fixed("abc\xff\xff\xff") // 3 + 24 + 27 + 7 + 5 = 66 bits, of which the last two
			length(w, 257, 0, 0)
			distance(w, 4)
			w.align()
			w.out = w.out[:8] // are cut
			return w
		}, 99, errTruncated},
		{"before the message", func() *bitWriter { w := fixed("ab"); length(w, 257, 0, 0); distance(w, 2); return w }, 99, errDistance},
		{"past the window", func() *bitWriter {
			w := fixed(strings.Repeat("a", 300))
			length(w, 257, 0, 0)
			distance(w, 16) // 257 to 384
			w.put(0, 7)
			return w
		}, 999, errDistance},
		{"a literal past the limit", func() *bitWriter { w := fixed("ab"); w.putCode(fixedLiteralCodes[endOfBlock]); return w }, 1, ErrTooBig},
		{"a match past the limit", func() *bitWriter {
			w := fixed("a")
			length(w, 257, 0, 0)
			distance(w, 0)
			w.putCode(fixedLiteralCodes[endOfBlock])
			return w
		}, 3, ErrTooBig},
		{"the reserved type", func() *bitWriter { w := new(bitWriter); w.put(3<<1, 3); return w }, 99, errType},
		{"a stored block without its length", func() *bitWriter { w := new(bitWriter); w.put(0, 8); w.put(0, 24); return w }, 99, errTruncated},
		{"one whose length is wrong", func() *bitWriter { w := new(bitWriter); w.put(0, 8); w.put(0xff00_0000, 32); return w }, 99, errStored},
		{"one that is cut", func() *bitWriter { w := new(bitWriter); w.put(0, 8); w.put(0xfffe_0001, 32); return w }, 99, errTruncated},
		{"one past the limit", func() *bitWriter { w := new(bitWriter); w.put(0, 8); w.put(0xfffe_0001, 32); w.put('a', 8); return w }, 0, ErrTooBig},
		{"codes that are cut", func() *bitWriter { w := new(bitWriter); w.put(2<<1, 8); return w }, 99, errTruncated},
		{"lengths of codes that are cut", func() *bitWriter { w := new(bitWriter); w.put(2<<1, 3); w.put(0, 14); return w }, 99, errTruncated},
		{"287 literals", func() *bitWriter { w := new(bitWriter); w.put(2<<1, 3); w.put(30, 14); return w }, 99, errCounts},
		{"31 distances", func() *bitWriter { w := new(bitWriter); w.put(2<<1, 3); w.put(30<<5, 14); return w }, 99, errCounts},
		{"lengths that are no code", func() *bitWriter { w := new(bitWriter); w.put(2<<1, 3); w.put(0, 14); w.put(0o1111, 12); return w }, 99, errLengths},
		{"nothing of a code is used", func() *bitWriter {
			w := new(bitWriter)
			w.put(2<<1, 3)
			w.put(0, 14)
			w.put(0, 12)
			w.put(0, 9)
			return w
		}, 99, errCode},
		{"a repetition that is cut", func() *bitWriter { // the codes 0: 17, 1: 18
			w := new(bitWriter)
			w.put(2<<1, 3)
			w.put(0, 14)
			w.put(0o0110, 12) // 16, 17, 18, 0
			w.put(1, 1)
			w.put(0, 2)
			return w
		}, 99, errTruncated},
		{"a repetition of nothing", func() *bitWriter { // the codes 0: 18, 1: 16
			w := new(bitWriter)
			w.put(2<<1, 3)
			w.put(0, 14)
			w.put(0o0101, 12) // 16, 17, 18, 0
			w.put(0, 8)
			return w
		}, 99, errLengths},
	} {
		w := test.write()
		w.align()
		dst, err := NewInflater(256, false).Inflate([]byte("x"), w.out, test.limit)
		if err != test.want || len(dst) == 0 || dst[0] != 'x' {
			t.Errorf("%s: %v, expected %v (%x, %q)", test.name, err, test.want, w.out, dst)
		}
	}
}

// What was made of a message that its receiver does not get is forgotten, and so is what came before it; what comes
// next refers to neither.
func TestForget(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		d := NewDeflater(4096, takeover)
		d.Forget() // nothing
		text := []byte(strings.Repeat("some words that come again, ", 10))
		first := d.Deflate(nil, text, true)
		d.Deflate(nil, text, false)
		d.Deflate(nil, []byte("x"), false) // ends within a byte
		d.Forget()
		if d.history != nil || d.n != 0 || d.acc != 0 {
			t.Errorf("takeover %v: something is kept", takeover)
		}
		if again := d.Deflate(nil, text, true); !bytes.Equal(again, first) {
			t.Errorf("takeover %v: %d bytes, and %d at first", takeover, len(again), len(first))
		}
		if got := in(t, NewInflater(4096, false), d.Deflate([]byte{}, nil, true)); len(got) != 0 {
			t.Errorf("%q", got)
		}
	}
}

// How small messages become, which may only get better: notifications of 100 bytes to 16 KB, each behind the others,
// and what is made of words, noise and repetitions.
func TestMessagesBecomeSmall(t *testing.T) {
	total := func(window int, takeover bool, messages [][]byte) (n int) {
		d := NewDeflater(window, takeover)
		for _, m := range messages {
			n += len(d.Deflate(nil, m, true))
		}
		return n
	}
	var texts [][]byte
	for m := newMaker(20); len(texts) < 100; {
		texts = append(texts, m.text(5000))
	}
	for _, test := range []struct {
		name     string
		window   int
		takeover bool
		messages [][]byte
		most     int
	}{
		{"of 100 bytes", 32 << 10, true, notifications(100)[:1000], 32238},
		{"of 100 bytes, in a small window", 1 << 10, true, notifications(100)[:1000], 36660},
		{"of 100 bytes, alone", 32 << 10, false, notifications(100)[:300], 29454},
		{"of 1000 bytes", 32 << 10, true, notifications(1000)[:200], 42331},
		{"of 1000 bytes, alone", 32 << 10, false, notifications(1000)[:200], 63523},
		{"of 16 KB", 32 << 10, true, notifications(16_000)[:20], 58063},
		{"texts", 32 << 10, true, texts, 18135},
		{"texts in a small window", 256, true, texts, 43246},
	} {
		if n := total(test.window, test.takeover, test.messages); n > test.most {
			t.Errorf("%s: %d bytes, and at most %d before", test.name, n, test.most)
		} else if n < test.most {
			t.Logf("%s: %d bytes are less than %d", test.name, n, test.most)
		}
	}
}

// What can't be compressed is stored, behind whatever bits there are.
func TestStoredBlocksBeginAnywhere(t *testing.T) {
	m := newMaker(21)
	noise := make([]byte, 300)
	for i := range noise {
		noise[i] = byte(m.Uint32())
	}
	for n := range 9 {
		first := bytes.Repeat([]byte{0xff, 0xfe, 0xfd}, 3)[:n] // 9 bits each
		d := NewDeflater(4096, false)
		message := d.Deflate(d.Deflate(nil, first, false), noise, true)
		bits := 0
		if n > 0 {
			bits = 3 + 9*n + 7
		}
		want := (bits+3+7)/8 + 4 + len(noise) + 1
		if got := in(t, NewInflater(4096, false), message); string(got) != string(first)+string(noise) || len(message) != want {
			t.Errorf("behind %d bits: %d bytes, expected %d", bits, len(message), want)
		}
	}
}

// A window is as large as was agreed, to the byte, also across its ring and across
// messages.
func TestWindowIsExact(t *testing.T) {
	for _, window := range []int{256, 512, 4096, 32 << 10} {
		for _, fill := range []int{window, window + 1, 3*window + 17} {
			data := make([]byte, fill)
			m := newMaker(uint64(fill))
			for i := range data {
				data[i] = byte(m.Uint32())
			}
			for back := window - 1; back <= window+1; back++ {
				f := NewInflater(window, true)
				for rest := data; len(rest) > 0; { // messages of 100 bytes
					n := min(len(rest), 100)
					in(t, f, NewDeflater(256, false).Deflate(nil, rest[:n], true))
					rest = rest[n:]
				}
				if len(f.past) != window || cap(f.past) != window {
					t.Fatalf("%d of %d bytes are kept for a window of %d", len(f.past), cap(f.past), window)
				}
				if back > 32<<10 {
					continue
				}
				s, w := new(scratch), new(bitWriter)
				s.match(5, back)
				s.write(w, make([]byte, 1000))
				w.put(0, 3)
				w.align()
				got, err := f.Inflate(nil, w.out, 10)
				if back > window && err == nil {
					t.Errorf("%d back in a window of %d: %q", back, window, got)
				}
				if want := data[len(data)-min(back, len(data)):][:5]; back <= window && !bytes.Equal(got, want) {
					t.Errorf("%d back in a window of %d after %d bytes: %q, %v, want %q", back, window, fill, got, err, want)
				}
			}
		}
	}
}

// bomb is a message of so many MiB of zeros.
func bomb(size int) []byte {
	part := NewDeflater(32<<10, false).Deflate(nil, make([]byte, 1<<20), true)
	return bytes.TrimSuffix(bytes.Repeat(append(part, tail...), size), []byte(tail))
}

// A message past its limit takes no more memory than the limit, about.
func TestBombs(t *testing.T) {
	message := bomb(1 << 10)
	t.Logf("1 GiB in %d bytes", len(message))
	for _, limit := range []int{0, 1, 1000, 1 << 20, 5_000_000} {
		f := NewInflater(32<<10, true)
		in(t, f, []byte{0}) // what the pool has
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		data, err := f.Inflate(nil, message, limit)
		runtime.ReadMemStats(&after)
		if err != ErrTooBig || len(data) > limit+slack || cap(data) > limit+2*slack {
			t.Errorf("limit %d: %d bytes, %v", limit, len(data), err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > uint64(3*limit+100_000) {
			t.Errorf("limit %d: %d bytes were allocated", limit, took)
		}
	}
	m := newMaker(6)
	for size := range 600 { // exact
		letters := make([]byte, size)
		for i := range letters {
			letters[i] = "ab"[m.IntN(2)] // in codes of a bit or two
		}
		for name, data := range map[string][]byte{"zeros": make([]byte, size), "letters": letters} {
			message := NewDeflater(32<<10, false).Deflate(nil, data, true)
			for limit := max(0, size-3); limit < size+3; limit++ {
				if data, err := NewInflater(32<<10, false).Inflate([]byte("x"), message, limit); (err == nil) != (size <= limit) || err == nil && len(data) != size+1 {
					t.Fatalf("%d %s with a limit of %d: %d, %v", size, name, limit, len(data), err)
				}
			}
		}
	}
	// And of a stored block.
	if _, err := NewInflater(32<<10, false).Inflate(nil, append(append([]byte{0, 200, 0, 55, 255}, make([]byte, 200)...), 0), 199); err != ErrTooBig {
		t.Error(err)
	}
}

// Between messages nothing is kept without takeover, and with it the windows alone.
func TestNothingButWindowsIsKept(t *testing.T) {
	data := newMaker(5).text(1 << 20)
	for len(data) < 1<<20 {
		data = append(data, data...)
	}
	d, f := NewDeflater(32<<10, false), NewInflater(32<<10, false)
	in(t, f, d.Deflate(nil, data, true))
	if d.history != nil || d.out != nil || f.past != nil {
		t.Errorf("%v, %d, %d bytes are kept without takeover", d.history, cap(d.out), cap(f.past))
	}
	d, f = NewDeflater(32<<10, true), NewInflater(32<<10, true)
	in(t, f, d.Deflate(nil, data, true))
	if kept := cap(d.buf) + 2*cap(d.seen) + cap(d.out) + cap(f.past); kept > 80<<10 {
		t.Errorf("%d bytes are kept", kept)
	}
	d, f = NewDeflater(4<<10, true), NewInflater(4<<10, true)
	in(t, f, d.Deflate(nil, data, true))
	if kept := cap(d.buf) + 2*cap(d.seen) + cap(d.out) + cap(f.past); kept > 10<<10 {
		t.Errorf("with 12 bits %d bytes are kept", kept)
	}
}

// Codes for any frequencies are possible ones, not longer than they may be, and no
// worse than those of compress/flate would be: no code costs less.
func TestCodesAreOptimal(t *testing.T) {
	m := newMaker(6)
	s := new(scratch)
	for range 3000 {
		count := make([]uint32, 2+m.IntN(285))
		for i := range count {
			if m.IntN(3) > 0 {
				count[i] = uint32(m.IntN(1 + m.IntN(1<<m.IntN(20))))
			}
		}
		if m.IntN(10) == 0 { // as deep as can be
			a, b := uint32(1), uint32(1)
			for i := range min(len(count), 30) {
				count[i], a, b = a, b, a+b
			}
		}
		lengths := make([]uint8, len(count))
		for _, most := range []int{maxCode, 9} {
			s.lengths(count, lengths, most)
			used, cost := 0, 0
			for i, n := range lengths {
				if (n > 0) != (count[i] > 0) || int(n) > most {
					t.Fatalf("a symbol that occurs %d times has %d bits", count[i], n)
				}
				if n > 0 {
					used += 1 << (most - int(n))
					cost += int(n) * int(count[i])
				}
			}
			if used > 1<<most {
				t.Fatalf("an impossible code: %v", lengths)
			}
			if best, deepest := huffman(count); deepest <= most && cost != best {
				t.Fatalf("cost %d, and %d is possible", cost, best)
			}
		}
	}
}

// huffman is the cost of an optimal code and its longest, the slow way.
func huffman(count []uint32) (cost, deepest int) {
	type node struct{ weight, depth int }
	var nodes []node
	for _, n := range count {
		if n > 0 {
			nodes = append(nodes, node{int(n), 0})
		}
	}
	if len(nodes) == 1 {
		return nodes[0].weight, 1
	}
	for len(nodes) > 1 {
		var least [2]node
		for i := range least {
			at := 0
			for j, n := range nodes { // of equal ones the flattest
				if n.weight < nodes[at].weight || n.weight == nodes[at].weight && n.depth < nodes[at].depth {
					at = j
				}
			}
			least[i] = nodes[at]
			nodes = append(nodes[:at], nodes[at+1:]...)
		}
		sum := node{least[0].weight + least[1].weight, 1 + max(least[0].depth, least[1].depth)}
		cost += sum.weight
		nodes = append(nodes, sum)
		deepest = sum.depth
	}
	return cost, deepest
}
