package main

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/wsnotify/wsnotify/internal/extension"
)

// The server's side of compression. What it receives it decompresses, and counts
// only messages of the right size. What it sends was compressed once, by
// compress/flate with the level that most servers have.

// compression is how a work compresses.
type compression int

const (
	plain    compression = iota
	takeover             // each message may refer to earlier ones
	alone                // none does
)

// notifications are so many JSON objects of 120 bytes one after another, of the
// same fields, with ids, users and numbers that vary.
func notifications(r *rand.Rand, size int) []byte {
	users := []string{"ada", "grace", "margaret", "barbara", "dennis", "edsger"}
	kinds := []string{"order.updated", "message.new", "presence", "price"}
	var b []byte
	for len(b) < size {
		b = fmt.Appendf(b, `{"msgType":"%s","content":{"id":%d,"user":"%s","ts":%d,"amount":%d.%02d,"unread":%d}}`, kinds[r.IntN(len(kinds))],
			100_000_000+r.IntN(900_000_000), users[r.IntN(len(users))], 1_764_400_000_000+r.Int64N(100_000), r.IntN(1000), r.IntN(100), r.IntN(20))
		if size < 256 { // alone, filled up with a note
			b = append(b, bytes.Repeat([]byte(" "), max(0, size-len(b)))...)
		}
	}
	return b[:size]
}

// varied are messages of a size, 2 MiB of them: more than a window holds.
func varied(size int) (messages [][]byte) {
	r := rand.New(rand.NewPCG(uint64(size), 1))
	for range 2 << 20 / size {
		messages = append(messages, notifications(r, size))
	}
	return messages
}

// encoded are frames of messages, compressed so that they may be sent over and
// over: the first refers to nothing.
func encoded(messages [][]byte, how compression) (frames []byte) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.DefaultCompression)
	for _, m := range messages {
		b.Reset()
		if how == alone {
			w.Reset(&b)
		}
		w.Write(m)
		w.Flush()
		frames = appendFrame(frames, opText|0x40, bytes.TrimSuffix(b.Bytes(), []byte("\x00\x00\xff\xff")))
	}
	return frames
}

// extensionOf answers the client's offer, if the work compresses.
func extensionOf(r *http.Request) (*extension.Params, string) {
	if r.FormValue("deflate") == "" {
		return nil, ""
	}
	p, answer := extension.Accept(r.Header.Values("Sec-WebSocket-Extensions"))
	return p, "Sec-WebSocket-Extensions: " + answer + "\r\n"
}

// inflate counts the messages that become what they should, and with echo sends
// them back, compressed as they came.
func (s *session) inflate(r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	echo := r.FormValue("echo") != ""
	in, out := s.agreed.Server()
	var message, data, answer []byte
	var err error
	compressed := false
	s.serve(256<<10, -1, func(f frame, payload []byte) error {
		if f.opcode != opContinuation {
			message, compressed = message[:0], f.rsv1
		}
		if message = append(message, payload...); !f.fin {
			return nil
		}
		if data = append(data[:0], message...); compressed {
			if data, err = in.Inflate(data[:0], message, 1<<24); err != nil {
				return err
			}
		}
		if len(data) == size {
			s.counted.Add(1)
		}
		if !echo {
			return nil
		}
		answer = appendFrame(answer[:0], opText|0x40, out.Deflate(nil, data, true))
		_, err := s.conn.Write(answer)
		return err
	})
}

// blastDeflated is blast of compressed messages.
func (s *session) blastDeflated(r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	how := takeover
	if !s.agreed.ServerTakeover {
		how = alone
	}
	messages := varied(size)
	s.pour(encoded(messages, how), len(messages))
}
