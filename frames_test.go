package wsnotify

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// A stream of random frames is scanned in random pieces: nothing is taken for
// a close frame but the one that is.
func TestFrameScanner(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var stream []byte
		for range rnd.IntN(20) {
			payload := make([]byte, []int{0, 1, 2, 125, 126, 5000, 66000}[rnd.IntN(7)])
			for i := range payload {
				payload[i] = byte(rnd.Uint32())
			}
			stream = encodeFrame(stream, []byte{opText, 2, 0, opPing, opPong}[rnd.IntN(5)], payload)
		}
		code := StatusCode(1000 + rnd.IntN(4000))
		payload := closePayload(code, "why")
		if rnd.IntN(5) == 0 {
			code, payload = StatusNoStatusRcvd, nil
		}
		stream = encodeFrame(stream, opClose, payload)
		want := len(stream)
		stream = encodeFrame(stream, opText, bytes.Repeat([]byte{0x88}, 300))

		var s frameScanner
		got := 0
		for closed := false; !closed; {
			if got >= len(stream) {
				t.Fatalf("seed %d: the close frame was not found", seed)
			}
			piece := stream[got:]
			piece = piece[:min(len(piece), 1+rnd.IntN(4096))]
			var n int
			n, closed = s.scan(piece)
			if !closed && n != len(piece) {
				t.Fatalf("seed %d: %d of %d bytes were taken", seed, n, len(piece))
			}
			got += n
		}
		if got != want || s.closeCode() != code {
			t.Errorf("seed %d: close frame %d ends at %d; found %d at %d", seed, code, want, s.closeCode(), got)
		}
	}
}

func FuzzFrameScanner(f *testing.F) {
	f.Add(encodeFrame(nil, opClose, closePayload(1000, "")), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		var whole, parts frameScanner
		n, closed := whole.scan(data)
		if cut = min(max(cut, 0), len(data)); cut > n {
			cut = n
		}
		m, first := parts.scan(data[:cut])
		if !first {
			rest, second := parts.scan(data[m:])
			m, first = m+rest, second
		}
		if n != m || closed != first {
			t.Errorf("%d %v in one piece, %d %v in two", n, closed, m, first)
		}
	})
}
