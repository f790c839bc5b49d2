package conformance

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/deflate"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// The 216 cases on compression of the Autobahn test suite, 12.1.1 to 13.7.18, by
// their parameters: which data, how long a message is, in which fragments it comes,
// and what the server answers to the offer. The peer is compress/flate; where the
// client's window is bound, internal/deflate checks that it keeps to that. Each case
// has 1,000 messages there, and 4 here; WSNOTIFY_MESSAGES says how many.

// autobahnSizes are the length of a message and of a fragment; 0 is none.
var autobahnSizes = []struct{ message, fragment int }{
	{16, 0}, {64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {8192, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {131072, 0},
	{8192, 256}, {16384, 256}, {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096}, {131072, 32768},
}

// autobahnAnswers are those of chapter 13: what the server asks of the client.
var autobahnAnswers = []string{
	"",
	"; client_no_context_takeover",
	"; client_max_window_bits=9",
	"; client_max_window_bits=15",
	"; client_no_context_takeover; client_max_window_bits=9",
	"; client_no_context_takeover; client_max_window_bits=15",
	"; client_no_context_takeover; client_max_window_bits=9", // the first of three that it would take
}

// autobahnData are like the files of chapter 12: JSON, a picture, prose, HTML, and
// what is compressed already.
func autobahnData() (data [5][]byte, binary [5]bool) {
	r := rand.New(rand.NewPCG(12, 13))
	words := strings.Fields("Habe nun ach Philosophie Juristerei und Medizin und leider auch Theologie durchaus studiert mit heißem Bemühn")
	for len(data[0]) < 200_000 {
		data[0] = fmt.Appendf(data[0], `{"id":%d,"name":"%s","tags":["%s","%s"],"score":%d.%02d},`, r.IntN(1e6), words[r.IntN(len(words))], words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(100), r.IntN(100))
		data[3] = fmt.Appendf(data[3], `<tr class="row%d"><td>%s</td><td><a href="/%s/%d">%s</a></td></tr>`+"\n", r.IntN(2), words[r.IntN(len(words))], words[r.IntN(len(words))], r.IntN(1e4), words[r.IntN(len(words))])
		data[2] = fmt.Appendf(data[2], "%s ", words[r.IntN(len(words))])
	}
	for len(data[2]) < 200_000 {
		data[2] = fmt.Appendf(data[2], "%s ", words[r.IntN(len(words))])
	}
	grey := 128
	for range 262_144 {
		grey = min(max(grey+r.IntN(7)-3, 0), 255)
		data[1] = append(data[1], byte(grey))
		data[4] = append(data[4], byte(r.Uint32()))
	}
	return data, [5]bool{1: true, 2: true, 4: true}
}

func TestAutobahnCompression(t *testing.T) {
	count := 4
	if s := os.Getenv("WSNOTIFY_MESSAGES"); s != "" {
		var err error
		if count, err = strconv.Atoi(s); err != nil {
			t.Fatalf("WSNOTIFY_MESSAGES: %v", err)
		}
	} else if testing.Short() {
		count = 1
	}
	data, binary := autobahnData()
	cases := 0
	for i := range data {
		for j, size := range autobahnSizes {
			cases++
			autobahnCase{fmt.Sprintf("12.%d.%d", i+1, j+1), data[i], binary[i], size.message, size.fragment, ""}.run(t, count)
		}
	}
	for i, answer := range autobahnAnswers {
		for j, size := range autobahnSizes {
			cases++
			autobahnCase{fmt.Sprintf("13.%d.%d", i+1, j+1), data[0], binary[0], size.message, size.fragment, answer}.run(t, count)
		}
	}
	if cases != 216 {
		t.Errorf("%d cases", cases)
	}
}

type autobahnCase struct {
	id             string
	data           []byte
	binary         bool
	size, fragment int
	answer         string
}

func (c autobahnCase) run(t *testing.T, count int) {
	echoes := 0
	var client *wsnotify.Client
	cfg := conformanceConfig
	cfg.Compression = wsnotify.CompressionContextTakeover
	cfg.OnMessage = func(m wsnotify.Message) { client.Send(context.Background(), m.Type, m.Data) }
	harness.InRawBubble(t, cfg, func(p *harness.Peer) {
		p.Accept("Sec-WebSocket-Extensions: permessage-deflate" + c.answer)
		late := time.AfterFunc(time.Minute, p.Fin)
		defer late.Stop()
		var err error
		if echoes, err = c.play(p, count); err != nil {
			t.Errorf("%s, message %d: %v", c.id, echoes+1, err)
		}
		p.Frames(closeFrame(1000, ""))
		p.Closed()
	}, func(w *harness.World, _ *harness.RawNet) {
		client = w.Client
		w.Must(w.Client.Connect(w.Context(), "ws://server/", ""))
		<-w.Client.Done()
		if f := w.Client.Status().LastFailure; f.Code != 1000 {
			t.Errorf("%s: %+v", c.id, f)
		}
	})
	if echoes != count {
		t.Errorf("%s: %d of %d messages came back", c.id, echoes, count)
	}
}

// play sends messages, each once the one before has come back.
func (c autobahnCase) play(p *harness.Peer, count int) (echoes int, err error) {
	opcode := byte(1)
	if c.binary {
		opcode = 2
	}
	keeps := !strings.Contains(c.answer, "client_no")
	window := 32 << 10
	if strings.Contains(c.answer, "=9") {
		window = 512
	}
	exact := deflate.NewInflater(window, keeps)
	var out bytes.Buffer
	var past []byte
	w, _ := flate.NewWriter(&out, flate.DefaultCompression)
	for at := 0; echoes < count; echoes++ {
		var want []byte
		for len(want) < c.size { // from where the last has ended
			n := min(c.size-len(want), len(c.data)-at)
			want = append(want, c.data[at:at+n]...)
			at = (at + n) % len(c.data)
		}
		if !c.binary {
			want = bytes.ToValidUTF8(want, []byte("?"))
		}
		out.Reset()
		w.Write(want)
		w.Flush()
		payload := bytes.TrimSuffix(out.Bytes(), []byte("\x00\x00\xff\xff"))
		first := opcode | 0x40
		for len(payload) > 0 {
			n := len(payload)
			if c.fragment > 0 {
				n = min(n, c.fragment)
			}
			f := frame(n == len(payload), first&15, string(payload[:n]))
			f[0] |= first & 0x40
			p.Frames(f)
			first, payload = 0, payload[n:]
		}
		var message []byte
		compressed := true
		for fin := false; !fin; {
			f, ok := p.Frame()
			if !ok {
				return echoes, io.ErrUnexpectedEOF
			}
			if f.Opcode == 0 && f.RSV != 0 || f.Opcode != 0 && (f.Opcode != opcode || f.RSV&3 != 0) {
				return echoes, fmt.Errorf("the frame %+v came", f)
			}
			if f.Opcode != 0 { // one that would not become shorter alone is sent as it is
				compressed = f.RSV == 4
			}
			message, fin = append(message, f.Payload...), f.Fin
		}
		if !compressed {
			if keeps || !bytes.Equal(message, want) {
				return echoes, fmt.Errorf("%d bytes came back as %d, and not compressed", len(want), len(message))
			}
			continue
		}
		r := flate.NewReaderDict(io.MultiReader(bytes.NewReader(message), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")), past)
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, want) {
			return echoes, fmt.Errorf("%d bytes came back as %d: %w", len(want), len(got), err)
		}
		if _, err := exact.Inflate(nil, message, 1<<20); err != nil {
			return echoes, fmt.Errorf("with a window of %d: %w", window, err)
		}
		if keeps {
			past = append(past, got...)
			past = past[max(0, len(past)-32<<10):]
		}
	}
	return echoes, nil
}
