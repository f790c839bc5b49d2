package deflate

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// zlib is that of Node, on the other side of a pipe. A request is an operation, and
// what it is about, each with its length before it.
type zlib struct {
	in  *bufio.Writer
	out *bufio.Reader
}

// script answers requests: "i" decompresses a message behind a window as
// reference does, "d" compresses one.
const script = `
const zlib = require('zlib'), fs = require('fs');
let pending = Buffer.alloc(0);
function blocks(past, message, behind, limit) {
  let src = Buffer.concat([message, behind]), data = Buffer.alloc(0);
  for (;;) {
    const all = Buffer.concat([past, data]), dictionary = all.subarray(Math.max(0, all.length - 32768));
    const options = {info: true, maxOutputLength: limit - data.length + 1};
    if (dictionary.length > 0) options.dictionary = dictionary;
    const {buffer, engine} = zlib.inflateRawSync(src, options);
    data = Buffer.concat([data, buffer]);
    if (data.length > limit) throw new Error('too long');
    src = src.subarray(engine.bytesWritten);
    if (src.length === 0 || src.length === behind.length) return data;
  }
}
const ending = Buffer.from([0, 0, 255, 255, 1, 0, 0, 255, 255]);
const marking = Buffer.from([1, 0, 254, 255, 88, 1, 0, 0, 255, 255]);
function inflate(past, message, limit) {
  const data = blocks(past, message, ending, limit), marked = blocks(past, message, marking, limit + 1);
  if (marked.equals(data) || marked.equals(Buffer.concat([data, Buffer.from('X')]))) return data;
  throw new Error('no end');
}
function deflate(past, message, how) {
  const options = {finishFlush: zlib.constants.Z_SYNC_FLUSH, level: how & 15, windowBits: 9 + (how >> 4 & 15), memLevel: 1 + (how >> 8 & 15), strategy: how >> 12};
  if (past.length > 0) options.dictionary = past;
  return zlib.deflateRawSync(message, options);
}
function answer(op, number, past, message) {
  let data, ok = 1;
  try { data = op === 'i' ? inflate(past, message, number) : deflate(past, message, number); } catch (e) { ok = 0; data = Buffer.from(String(e)); }
  const head = Buffer.alloc(5);
  head[0] = ok;
  head.writeUInt32LE(data.length, 1);
  return Buffer.concat([head, data]);
}
process.stdin.on('data', (chunk) => {
  pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
  const answers = [];
  while (pending.length >= 13) {
    const number = pending.readUInt32LE(1), past = pending.readUInt32LE(5), size = pending.readUInt32LE(9);
    if (pending.length < 13 + past + size) break;
    answers.push(answer(String.fromCharCode(pending[0]), number, pending.subarray(13, 13 + past), pending.subarray(13 + past, 13 + past + size)));
    pending = pending.subarray(13 + past + size);
  }
  if (answers.length > 0) process.stdout.write(Buffer.concat(answers));
});
process.stdin.on('end', () => process.exit(0));
`

func startZlib(t *testing.T) *zlib {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node here")
	}
	cmd := exec.Command(node, "-e", script)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &zlib{bufio.NewWriterSize(in, 1<<20), bufio.NewReader(out)}
}

func (z *zlib) send(op byte, number int, past, message []byte) {
	head := []byte{op}
	head = binary.LittleEndian.AppendUint32(head, uint32(number))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(past)))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(message)))
	z.in.Write(head)
	z.in.Write(past)
	z.in.Write(message)
}

func (z *zlib) answer(t *testing.T) (data []byte, ok bool) {
	t.Helper()
	var head [5]byte
	if _, err := io.ReadFull(z.out, head[:]); err != nil {
		t.Fatal(err)
	}
	data = make([]byte, binary.LittleEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(z.out, data); err != nil {
		t.Fatal(err)
	}
	return data, head[0] == 1
}

// streams is how many a test tries: WSNOTIFY_STREAMS, or some.
func streams(t *testing.T, some int) int {
	if s := os.Getenv("WSNOTIFY_STREAMS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("WSNOTIFY_STREAMS: %v", err)
		}
		return n
	}
	if testing.Short() {
		return some / 10
	}
	return some
}

// A stream is a message behind what came before it.
type stream struct{ past, message []byte }

// stream makes one, right or wrong.
func (m maker) stream() (s stream) {
	s.past = m.text(m.size())
	s.past = s.past[max(0, len(s.past)-32<<10):]
	switch m.IntN(8) {
	case 0, 1, 2:
		s.message = m.blocks()
	case 3, 4, 5:
		out := NewDeflater(32<<10, true)
		out.Deflate(nil, s.past, true)
		s.message = out.Deflate(nil, m.text(m.size()), true)
	default:
		s.message = m.flated(s.past, m.text(m.size()))
	}
	if m.IntN(2) == 0 {
		s.message = m.damage(s.message)
	}
	return s
}

// What zlib and compress/flate accept is accepted, with the same bytes, and no other.
func TestInflateLikeZlib(t *testing.T) {
	const limit, batch = 100_000, 100
	z := startZlib(t)
	count, accepted := streams(t, 3000), 0
	m := newMaker(11)
	for done := 0; done < count; done += batch {
		if done > 0 && done%100_000 == 0 {
			t.Logf("%d streams", done)
		}
		list := make([]stream, batch)
		for i := range list {
			list[i] = m.stream()
			z.send('i', limit, list[i].past, list[i].message)
		}
		flushed := make(chan error, 1)
		go func() { flushed <- z.in.Flush() }()
		for _, s := range list {
			f := NewInflater(32<<10, true)
			f.keep(s.past)
			got, err := f.Inflate(nil, s.message, limit)
			want, ok := z.answer(t)
			if (err == nil) != ok || ok && !bytes.Equal(got, want) {
				t.Fatalf("%v and %d bytes, zlib accepts it: %v, with %d bytes or %.80q\npast %q\nmessage %x", err, len(got), ok, len(want), want, s.past, s.message)
			}
			if compare(t, s.past, s.message, limit) {
				accepted++
			}
		}
		if err := <-flushed; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d streams, %d accepted", count, accepted)
}

// What zlib compresses, with any window, level, strategy and memory, is understood;
// and zlib and compress/flate understand what is compressed here.
func TestRoundTripWithZlib(t *testing.T) {
	const batch = 100
	z := startZlib(t)
	m := newMaker(12)
	count := streams(t, 3000)
	type sample struct {
		past, data []byte
		window     int
	}
	for done := 0; done < count; done += batch {
		if done > 0 && done%100_000 == 0 {
			t.Logf("%d streams", done)
		}
		list := make([]sample, batch)
		for i := range list {
			s := sample{window: 9 + m.IntN(7)}
			s.past, s.data = m.text(m.size()), m.text(m.size())
			if m.IntN(2) == 0 {
				s.past = nil
			}
			s.past = s.past[max(0, len(s.past)-1<<s.window):]
			list[i] = s
			z.send('d', m.IntN(10)|(s.window-9)<<4|m.IntN(9)<<8|m.IntN(5)<<12, s.past, s.data)
			out := NewDeflater(1<<s.window, true)
			out.Deflate(nil, s.past, true)
			message := out.Deflate(nil, s.data, true)
			z.send('i', len(s.data), s.past, message)
			if got, ok := reference(s.past, message, len(s.data)); !ok || !bytes.Equal(got, s.data) {
				t.Fatalf("compress/flate: %d bytes came out as %d, %v", len(s.data), len(got), ok)
			}
			exact := NewInflater(1<<s.window, true)
			exact.keep(s.past)
			if got := in(t, exact, message); !bytes.Equal(got, s.data) {
				t.Fatalf("%d bytes came out as %d", len(s.data), len(got))
			}
		}
		flushed := make(chan error, 1)
		go func() { flushed <- z.in.Flush() }()
		for _, s := range list {
			message, ok := z.answer(t)
			if !ok {
				t.Fatalf("zlib does not compress: %s", message)
			}
			f := NewInflater(1<<s.window, true)
			f.keep(s.past)
			got, err := f.Inflate(nil, bytes.TrimSuffix(message, []byte(tail)), len(s.data))
			if err != nil || !bytes.Equal(got, s.data) {
				t.Fatalf("a window of %d bits: %v, %d bytes came out as %d\nmessage %x", s.window, err, len(s.data), len(got), message)
			}
			if got, ok := z.answer(t); !ok || !bytes.Equal(got, s.data) {
				t.Fatalf("zlib: %v, %d bytes came out as %d", ok, len(s.data), len(got))
			}
		}
		if err := <-flushed; err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d streams in each direction", count)
}
