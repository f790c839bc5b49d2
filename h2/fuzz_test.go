package h2

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// FuzzServer has a server send any bytes behind its SETTINGS, with two streams
// open and a third handshake under way. Whatever they are, nothing hangs, panics
// or is left, no more is kept than the windows allow, and what the client sends
// is HTTP/2.
func FuzzServer(f *testing.F) {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	add := func(write func()) {
		b.Reset()
		write()
		f.Add(b.Bytes())
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	enc.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
	enc.WriteField(hpack.HeaderField{Name: "sec-websocket-protocol", Value: "chat"})
	add(func() {})
	add(func() {
		fr.WriteData(1, false, []byte("hello"))
		fr.WriteDataPadded(3, true, []byte("hello"), make([]byte, 7))
	})
	add(func() {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, BlockFragment: block.Bytes()[:3], PadLength: 3})
		fr.WriteContinuation(5, true, block.Bytes()[3:])
		fr.WriteData(5, true, []byte("hello"))
	})
	add(func() {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
	})
	add(func() {
		fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1},
			http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
	})
	add(func() { fr.WriteRSTStream(1, http2.ErrCodeCancel); fr.WriteData(1, false, []byte("late")) })
	add(func() { fr.WriteRSTStream(5, http2.ErrCodeRefusedStream) })
	add(func() { fr.WriteGoAway(1, http2.ErrCodeNo, []byte("bye")); fr.WriteData(1, false, []byte("x")) })
	add(func() { fr.WriteWindowUpdate(0, 1<<31-1) })
	add(func() { fr.WriteWindowUpdate(1, 1<<31-1); fr.WriteWindowUpdate(3, 1) })
	add(func() { fr.WritePing(false, [8]byte{1}); fr.WritePing(true, [8]byte{0, 0, 0, 0, 0, 0, 0, 1}) })
	add(func() {
		fr.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: block.Bytes(), EndHeaders: true})
	})
	add(func() { fr.WritePriority(1, http2.PriorityParam{StreamDep: 1}) })
	f.Fuzz(func(t *testing.T, in []byte) {
		inBubble(t, &Transport{}, func(p *peer) {
			if p.nth > 1 {
				return
			}
			p.settings()
			p.accept()
			p.accept()
			p.next(http2.FrameHeaders)
			p.SetWriteDeadline(time.Now().Add(time.Minute))
			p.Write(in)
			time.Sleep(time.Second)
		}, func(w *world) {
			first, second := w.connect(), w.connect()
			go func() {
				ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
				defer cancel()
				if resp, err := w.handshake(ctx); err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}()
			go first.Write(make([]byte, 100<<10))
			synctest.Wait()
			if kept := second.(*stream).buffer.size; kept > streamWindow {
				t.Errorf("%d bytes are kept", kept)
			}
			io.Copy(io.Discard, first)
			first.Close()
			second.Close()
		})
	})
}
