package h2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

// What breaks a rule about a stream resets it with the code of the rule, and fails its calls with the words of it;
// the connection and its other streams go on.
func TestViolationsOfAStream(t *testing.T) {
	end := func(p *peer, id uint32) { p.fr.WriteRawFrame(http2.FrameData, http2.FlagDataEndStream, id, nil) }
	for _, test := range []struct {
		does string
		do   func(p *peer, id uint32)
		read bool // Read ends with it, and not with the end of the stream
		code http2.ErrCode
		want string
	}{
		{"DATA after the end", func(p *peer, id uint32) { end(p, id); p.fr.WriteData(id, false, []byte("x")) }, false,
			http2.ErrCodeStreamClosed, "(STREAM_CLOSED): DATA after the end of a stream"},
		{"an empty DATA after the end", func(p *peer, id uint32) { end(p, id); end(p, id) }, false,
			http2.ErrCodeStreamClosed, "(STREAM_CLOSED): DATA after the end of a stream"},
		{"HEADERS after the end", func(p *peer, id uint32) { end(p, id); p.headers(id, true, "x", "y") }, false,
			http2.ErrCodeStreamClosed, "(STREAM_CLOSED): HEADERS after the end of a stream"},
		{"a second response", func(p *peer, id uint32) { p.headers(id, false, ":status", "200") }, true,
			http2.ErrCodeProtocol, "(PROTOCOL_ERROR): a second response"},
		{"bad trailers", func(p *peer, id uint32) { p.headers(id, true, "X", "y") }, true,
			http2.ErrCodeProtocol, "(PROTOCOL_ERROR): the name of a header field has a character that it must not have"},
		{"more than the window", func(p *peer, id uint32) {
			for range streamWindow / maxFrame {
				p.fr.WriteData(id, false, make([]byte, maxFrame))
			}
			p.fr.WriteData(id, false, make([]byte, 7))
		}, true, http2.ErrCodeFlowControl, "(FLOW_CONTROL_ERROR): DATA of 7 bytes, 7 beyond the stream's window"},
		{"a window above the largest", func(p *peer, id uint32) { p.fr.WriteWindowUpdate(id, maxWindow-defaultWindow+1) }, true,
			http2.ErrCodeFlowControl, "(FLOW_CONTROL_ERROR): WINDOW_UPDATE takes the stream's window above 2^31-1"},
		{"WINDOW_UPDATE of 0", func(p *peer, id uint32) { p.fr.WriteRawFrame(http2.FrameWindowUpdate, 0, id, make([]byte, 4)) }, true,
			http2.ErrCodeProtocol, "(PROTOCOL_ERROR): a malformed frame"},
	} {
		t.Run(test.does, func(t *testing.T) {
			inBubble(t, &Transport{}, func(p *peer) {
				p.settings()
				id, other := p.accept(), p.accept()
				test.do(p, id)
				p.fr.WriteData(other, false, []byte("x"))
				p.silence()
			}, func(w *world) {
				conn, other := w.connect(), w.connect()
				if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
					t.Errorf("the other stream: %v", err)
				}
				want := "h2: the server broke HTTP/2 " + test.want
				if _, err := conn.Write([]byte("x")); err == nil || err.Error() != want {
					t.Errorf("Write: %v, want %s", err, want)
				}
				if _, err := io.ReadAll(conn); test.read && (err == nil || err.Error() != want) || !test.read && err != nil {
					t.Errorf("Read: %v", err)
				}
				if f, _ := w.peers[0].next(http2.FrameRSTStream); f.StreamID != 1 || f.code != test.code {
					t.Errorf("the reset is %v, %v", f, f.code)
				}
				conn.Close()
				other.Close()
				w.wantDials(1)
			})
		})
	}
}

// A window may be as large as 2^31-1, and settings may be said again.
func TestWindowsAtTheirLargest(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id := p.accept()
		p.fr.WriteWindowUpdate(0, maxWindow-defaultWindow)
		p.fr.WriteWindowUpdate(id, maxWindow-defaultWindow)
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow - 1})
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow}) // the stream's is the largest again
		p.fr.WritePing(false, [8]byte{})
		p.next(http2.FramePing)
		p.fr.WriteData(id, true, []byte("x"))
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		if got, err := io.ReadAll(conn); string(got) != "x" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
	})
}

// Trailers end a stream, and it alone.
func TestTrailersEndAStream(t *testing.T) {
	inBubble(t, &Transport{MaxStreams: 2}, func(p *peer) {
		p.settings()
		id, other := p.accept(), p.accept()
		p.headers(id, true, "x-trailer", "1")
		time.Sleep(time.Second)
		p.fr.WriteData(other, false, []byte("x"))
		p.accept()
		p.silence()
	}, func(w *world) {
		conn, other := w.connect(), w.connect()
		if got, err := io.ReadAll(conn); len(got) != 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := io.ReadFull(other, make([]byte, 1)); err != nil {
			t.Errorf("the other stream: %v", err)
		}
		conn.Close()
		w.connect().Close() // in its place, at once
		other.Close()
		w.wantDials(1)
		if w.peers[0].has(http2.FrameRSTStream) != 0 {
			t.Error("RST_STREAM for a stream that both sides have ended")
		}
	})
}

// A response that ends its stream leaves nothing to reset.
func TestResponseThatEndsItsStream(t *testing.T) {
	for _, status := range []string{"403", "200"} {
		inBubble(t, &Transport{}, func(p *peer) {
			p.settings()
			f, _ := p.next(http2.FrameHeaders)
			p.headers(f.StreamID, true, ":status", status)
			p.silence()
		}, func(w *world) {
			resp, err := w.handshake(w.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(resp.Body); len(got) != 0 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			if n := w.peers[0].has(http2.FrameRSTStream); n != 0 {
				t.Errorf("%d frames RST_STREAM after %s", n, status)
			}
		})
	}
}

// Frames that lead to nothing: 10,000 at once, and 1,000 more in each second; data lets one more accompany each of it.
func TestAllowance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a allowance
		a.init(time.Now())
		spend := func(n int, want string) {
			t.Helper()
			for i := range n {
				err := a.spend(http2.FramePing)
				if text := fmt.Sprint(err); err != nil && (i < n-1 || text != want) || err == nil && i == n-1 && want != "" {
					t.Fatalf("frame %d: %v", i+1, err)
				}
			}
		}
		const flood = "h2: the server broke HTTP/2 (ENHANCE_YOUR_CALM): a flood of PING frames that lead to nothing"
		spend(idleFrames+1, flood)
		time.Sleep(2 * time.Second) // one of which is for the frame that was too many
		spend(2*idleFramesRate, flood)
		time.Sleep(time.Hour)
		spend(1, "") // which fills it up
		spend(idleFrames+1, flood)
		for range 3 {
			a.earn()
		}
		spend(3, flood)
		a.left = idleFrames
		a.earn()
		spend(idleFrames+1, flood)
	})
}

// The server's answer to a PING is the answer to that PING, and comes in time or after a stop of this process.
func TestUnansweredPings(t *testing.T) {
	t.Run("an answer to another", func(t *testing.T) {
		inBubble(t, &Transport{}, onFirst(func(p *peer) {
			p.settings()
			p.accept()
			f, _ := p.next(http2.FramePing)
			f.ping[0]++
			p.fr.WritePing(true, f.ping)
			p.silence()
		}), func(w *world) {
			w.connect().Close()
			pass(deadAfter - 1)
			if w.open.Load() == 0 {
				t.Error("it was closed too early")
			}
			pass(1)
			if w.open.Load() != 0 {
				t.Error("it was not closed")
			}
		})
	})
	t.Run("while other things come", func(t *testing.T) {
		inBubble(t, &Transport{}, onFirst(func(p *peer) {
			p.settings()
			id := p.accept()
			p.accept()
			for p.fr.WriteData(id, false, []byte("x")) == nil {
				time.Sleep(time.Second)
			}
		}), func(w *world) {
			busy, conn := w.connect(), w.connect()
			began := time.Now()
			conn.Close()
			_, err := io.Copy(io.Discard, busy)
			// It is looked for after 1 s, and each 4 s from then on.
			if took := time.Since(began); took != 61*time.Second || err == nil || err.Error() != "h2: the shared connection was closed: no answer to a PING within 1m1s" {
				t.Errorf("%v after %v", err, took)
			}
			busy.Close()
		})
	})
	t.Run("in a process that was stopped", func(t *testing.T) {
		inBubble(t, &Transport{}, onFirst(silentAfter(1)), func(w *world) {
			conn := w.connect()
			c := conn.(*stream).c
			conn.Close()
			pass(2 * time.Second)
			c.mu.Lock()
			c.alive.due = c.alive.due.Add(-time.Second - 1) // as if the timer had come late
			c.mu.Unlock()
			pass(deadAfter)
			if w.open.Load() == 0 {
				t.Error("it was closed at once")
			}
			pass(deadAfter)
			if w.open.Load() != 0 {
				t.Error("it was not closed")
			}
		})
	})
	t.Run("a timer that was about to fire", func(t *testing.T) {
		inBubble(t, &Transport{}, echo, func(w *world) {
			conn := w.connect()
			c := conn.(*stream).c
			c.unanswered()
			if c.alive.suspect {
				t.Error("nothing was asked")
			}
			conn.Close()
			w.connect().Close()
			w.wantDials(1)
		})
	})
}

// Deadlines can be moved, before they have come and after, and calls obey the latest.
func TestDeadlinesThatMove(t *testing.T) {
	inBubble(t, &Transport{}, silentAfter(1, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}), func(w *world) {
		conn := w.connect()
		for name, side := range map[string]struct {
			call func([]byte) (int, error)
			set  func(time.Time) error
		}{"Read": {conn.Read, conn.SetReadDeadline}, "Write": {conn.Write, conn.SetWriteDeadline}} {
			wait := func(want time.Duration) {
				t.Helper()
				began := time.Now()
				if _, err := side.call(make([]byte, 1)); err == nil || !err.(net.Error).Timeout() || time.Since(began) != want {
					t.Errorf("%s: %v after %v, expected %v", name, err, time.Since(began), want)
				}
			}
			in := func(d time.Duration) {
				if err := side.set(time.Now().Add(d)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			in(time.Second)
			in(3 * time.Second)
			wait(3 * time.Second)
			wait(0)
			in(time.Second)
			wait(time.Second)
			in(time.Hour)
			time.AfterFunc(time.Second, func() { in(2 * time.Second) }) // of a call under way
			wait(3 * time.Second)
			in(time.Second)
			side.set(time.Time{})
			time.AfterFunc(time.Minute, func() { in(-1) })
			wait(time.Minute)
			in(time.Hour)
		}
		s := conn.(*stream)
		all := bothEnd(t, conn, net.ErrClosed)
		synctest.Wait()
		s.writeIsLate() // one that was replaced meanwhile
		synctest.Wait()
		conn.Close()
		all.Wait()
		if s.readTimer.Stop() || s.writeTimer.Stop() {
			t.Error("a timer still runs")
		}
	})
	// The side that is closed has none.
	inBubble(t, &Transport{}, silentAfter(1), func(w *world) {
		conn := w.connect().(*stream)
		conn.SetDeadline(time.Now().Add(time.Hour))
		conn.CloseWrite()
		if conn.writeTimer.Stop() {
			t.Error("a timer still runs")
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Errorf("%v", err)
		}
		if err := conn.SetWriteDeadline(time.Now()); err != net.ErrClosed {
			t.Errorf("%v", err)
		}
		if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != net.ErrClosed {
			t.Errorf("%v", err)
		}
		began := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err == nil || time.Since(began) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		w.peers[0].Close()
		synctest.Wait()
		if conn.readTimer.Stop() {
			t.Error("a timer still runs")
		}
		conn.Close()
		if err := conn.SetReadDeadline(time.Time{}); err != net.ErrClosed {
			t.Errorf("%v", err)
		}
		if err := conn.SetDeadline(time.Time{}); err != net.ErrClosed {
			t.Errorf("%v", err)
		}
	})
}

// A stream has the addresses of its connection, and can't be ended in the middle of a Write.
func TestStreamIsANetConn(t *testing.T) {
	inBubble(t, &Transport{}, silentAfter(1, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}), func(w *world) {
		conn := w.connect()
		if conn.LocalAddr() != w.peers[0].LocalAddr() || conn.RemoteAddr() != w.peers[0].RemoteAddr() {
			t.Errorf("%v, %v", conn.LocalAddr(), conn.RemoteAddr())
		}
		all := bothEnd(t, conn, net.ErrClosed)
		synctest.Wait()
		if err := conn.(*stream).CloseWrite(); err == nil || err.Error() != "h2: CloseWrite during a Write" {
			t.Errorf("%v", err)
		}
		conn.Close()
		all.Wait()
	})
}

// A stream whose turn to send comes when it has nothing to send any more, or must not, holds up no other.
func TestTurnsThatAreNotNeeded(t *testing.T) {
	const window = defaultWindow + 1000
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: window})
		_, gone, shut, last := p.accept(), p.accept(), p.accept(), p.accept()
		time.Sleep(2 * time.Second) // all want to send
		p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.fr.WriteWindowUpdate(last, window)
		p.fr.WriteWindowUpdate(0, 100)
		var got int
		for got < defaultWindow+100 {
			f, ok := p.next(http2.FrameData)
			if got += len(f.data); !ok || f.StreamID == gone || f.StreamID == shut || f.StreamID == last && len(f.data) != 100 {
				t.Errorf("%d bytes of stream %d", len(f.data), f.StreamID)
				break
			}
		}
		p.silence()
	}, func(w *world) {
		full, gone, shut, last := w.connect(), w.connect(), w.connect(), w.connect()
		full.Write(make([]byte, defaultWindow)) // the connection's window is used up
		results := make(chan string, 3)
		for name, conn := range map[string]net.Conn{"gone": gone, "shut": shut, "last": last} {
			go func() {
				n, err := conn.Write(make([]byte, 100))
				results <- fmt.Sprint(name, " ", n, " ", err)
			}()
			synctest.Wait()
		}
		pass(time.Second)
		gone.Close()
		if got := <-results; got != "gone 0 "+net.ErrClosed.Error() {
			t.Error(got)
		}
		if got := <-results; got != "last 100 <nil>" {
			t.Error(got)
		}
		shut.Close()
		<-results
		last.Close()
		full.Close()
	})
}

// stuckConn takes no more bytes once it is stuck, and fails a Write then if it is broken.
type stuckConn struct {
	net.Conn
	stuck <-chan struct{} // closed: from now on
	fail  error
	gone  <-chan struct{} // ends a Write that is stuck
}

func (c *stuckConn) Write(p []byte) (int, error) {
	select {
	case <-c.stuck:
		if c.fail == nil {
			<-c.gone
			return 0, io.ErrClosedPipe
		}
		return 0, c.fail
	default:
		return c.Conn.Write(p)
	}
}

// A connection on which writing fails is lost, though nothing is wrong with reading. A request that has not left by
// then goes over another one.
func TestConnectionThatCannotBeWrittenTo(t *testing.T) {
	for name, fail := range map[string]error{"broken": errors.New("broken"), "stuck": nil} {
		t.Run(name, func(t *testing.T) {
			var stuck, gone chan struct{} // of the bubble
			tr := &Transport{}
			var w *world
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := w.dial(ctx, network, addr)
				if w.dials() > 1 {
					return conn, err
				}
				return &stuckConn{Conn: conn, stuck: stuck, fail: fail, gone: gone}, err
			}
			inBubble(t, tr, echo, func(world *world) {
				w, stuck, gone = world, make(chan struct{}), make(chan struct{})
				conn := w.connect()
				close(stuck)
				conn.Write([]byte("x"))
				synctest.Wait()
				if fail == nil {
					time.AfterFunc(time.Second, func() { close(gone); w.peers[0].Close() })
				}
				w.connect().Close()
				_, err := conn.Read(make([]byte, 1))
				want := map[string]string{"broken": "h2: the shared connection was lost: broken", "stuck": "h2: the shared connection was lost: unexpected EOF"}[name]
				if err == nil || err.Error() != want {
					t.Errorf("%v, want %s", err, want)
				}
				conn.Close()
				w.wantDials(2)
			})
		})
	}
}

// A request that can't be sent as it is, or is over before it begins, costs no connection.
func TestRequestsThatAreNotSent(t *testing.T) {
	inBubble(t, &Transport{}, echo, func(w *world) {
		ctx, cancel := context.WithCancelCause(w.Context())
		over := errors.New("over")
		cancel(over)
		if _, err := w.handshake(ctx); err != over {
			t.Errorf("%v", err)
		}
		r, _ := http.NewRequest(http.MethodGet, "http://server/", nil)
		r.Header = http.Header{"Upgrade": {"websocket"}, "X": {"a\nb"}}
		if _, err := w.tr.RoundTrip(r); err == nil || err.Error() != "h2: the value of the header field X holds a control character" {
			t.Errorf("%v", err)
		}
		w.wantDials(0)
	})
}

// A server that is there and gone before a stream was opened leaves no pool behind.
func TestServerThatIsGoneAtOnce(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) { p.settings() }, func(w *world) {
		if _, err := w.handshake(w.Context()); err == nil || !strings.Contains(err.Error(), "the shared connection was lost") {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if len(w.tr.pools) != 0 {
			t.Errorf("%d pools", len(w.tr.pools))
		}
	})
}

// What a response says of its length counts if it is one.
func TestContentLength(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   int64
	}{
		{nil, -1}, {[]string{"0"}, 0}, {[]string{"109"}, 109}, {[]string{"9223372036854775807"}, 1<<63 - 1}, {[]string{"9223372036854775808"}, -1},
		{[]string{"-1"}, -1}, {[]string{"x"}, -1}, {[]string{"1", "1"}, -1},
	} {
		h := &header{status: "200", fields: http.Header{"Content-Length": test.values}}
		if resp, err := h.response(); err != nil || resp.ContentLength != test.want || resp.Status != "200 OK" {
			t.Errorf("%q: %+v, %v", test.values, resp, err)
		}
	}
	for _, status := range []string{"", "20", "2000", "099", "+20", "-20"} {
		if resp, err := (&header{status: status}).response(); err == nil {
			t.Errorf("%q: %+v", status, resp)
		}
	}
}

// A stream that was reset leaves its place at once, and one that the server has ended is not credited any more.
func TestPlaceOfAStream(t *testing.T) {
	inBubble(t, &Transport{MaxStreams: 1}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		p.accept()
		f, _ := p.next(http2.FramePing)
		p.fr.WritePing(true, f.ping)
		p.fr.WriteData(1, false, []byte("was under way"))
		id := p.accept()
		for i := range streamWindow / maxFrame {
			p.fr.WriteData(id, i == streamWindow/maxFrame-1, make([]byte, maxFrame))
		}
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		if size := conn.(*stream).c.outbound.encoder.MaxDynamicTableSize(); size != 0 {
			t.Errorf("a table of %d bytes", size)
		}
		all := bothEnd(t, conn, net.ErrClosed)
		synctest.Wait()
		conn.Close() // in the middle of a Write
		all.Wait()
		second := w.connect()
		synctest.Wait()
		if n, err := io.Copy(io.Discard, second); n != streamWindow || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		second.Close()
		w.wantDials(1)
		p := w.peers[0]
		for p.has(http2.FrameWindowUpdate) > 0 {
			if f, _ := p.next(http2.FrameWindowUpdate); f.StreamID != 0 {
				t.Errorf("%d bytes are credited on a stream that has ended", f.increment)
			}
		}
	})
}

// An idle timer that was about to fire when a stream was opened ends nothing, and neither does one of a stream that has
// been closed, once it has ended.
func TestTimersThatWereAboutToFire(t *testing.T) {
	inBubble(t, &Transport{}, echo, func(w *world) {
		conn := w.connect().(*stream)
		conn.c.endIdle()
		other := w.connect()
		other.Write([]byte("x"))
		if _, err := other.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		conn.Close()
		synctest.Wait()
		conn.lingered()
		if w.peers[0].has(http2.FrameRSTStream) != 0 {
			t.Error("it was reset")
		}
		if err := conn.CloseWrite(); err != net.ErrClosed {
			t.Errorf("%v", err)
		}
		other.Close()
		w.wantDials(1)
		pass(idleTimeout)
		c := conn.c
		c.endIdle() // once more
		if w.open.Load() != 0 {
			t.Error("it is still open")
		}
	})
}

// A connection is asked again a second after it has answered, and each question has as long.
func TestAnsweredPingCountsForASecond(t *testing.T) {
	inBubble(t, &Transport{}, onFirst(func(p *peer) {
		p.settings()
		for range 4 {
			p.accept()
		}
		f, _ := p.next(http2.FramePing)
		p.fr.WritePing(true, f.ping)
		p.silence()
	}), func(w *world) {
		var conns []net.Conn
		for range 4 {
			conns = append(conns, w.connect())
		}
		conns[0].Close()
		synctest.Wait()
		conns[1].Close()
		pass(askAgain - 1)
		conns[2].Close()
		if n := w.peers[0].has(http2.FramePing); n != 0 {
			t.Errorf("asked %d times too early", n)
		}
		pass(1)
		began := time.Now()
		conns[3].Close()
		synctest.Wait()
		if n := w.peers[0].has(http2.FramePing); n != 1 {
			t.Errorf("asked %d times", n)
		}
		ctx, cancel := context.WithTimeout(w.Context(), suspectAfter-1)
		defer cancel()
		if _, err := w.handshake(ctx); err == nil || err.Error() != "h2: the server has not answered a PING yet: context deadline exceeded" {
			t.Errorf("%v", err)
		}
		pass(time.Until(began.Add(deadAfter)) - 1)
		if w.open.Load() != 1 {
			t.Error("it was closed too early")
		}
		pass(1)
		if w.open.Load() != 0 {
			t.Error("it was not closed")
		}
	})
}
