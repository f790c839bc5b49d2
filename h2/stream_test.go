package h2

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestHandshakeIsExtendedConnect(t *testing.T) {
	var request frame
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		request, _ = p.next(http2.FrameHeaders)
		p.headers(request.StreamID, false, ":status", "200", "sec-websocket-protocol", "chat", "x-two", "a", "x-two", "b")
		p.silence()
	}, func(w *world) {
		resp, err := w.handshake(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		for name, want := range map[string]string{
			":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":authority": "server", ":path": "/ws?token=hunter2",
			"sec-websocket-version": "13", "user-agent": "Go-http-client/2.0",
			"connection": "", "upgrade": "", "sec-websocket-key": "", "host": "",
		} {
			if got := request.fields[name]; got != want {
				t.Errorf("%s is %q and not %q", name, got, want)
			}
		}
		// The accept key is that of RFC 6455, section 1.3.
		for name, want := range map[string]string{
			"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "Sec-WebSocket-Protocol": "chat",
		} {
			if got := resp.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s is %q and not %q", name, got, want)
			}
		}
		if resp.StatusCode != 101 || len(resp.Header["X-Two"]) != 2 {
			t.Errorf("%v %v", resp.Status, resp.Header)
		}
	})
}

// The headers of a response may be as long, and in as many frames, as the limits say; each response anew.
func TestHeadersAtTheirLimits(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		for {
			f, ok := p.next(http2.FrameHeaders)
			if !ok {
				return
			}
			const counted = len(":status") + len("200") + 32 + len("x") + 32 // section 6.5.2
			block := bytes.Clone(p.encode(":status", "200", "x", strings.Repeat("a", maxHeaderList-counted)))
			piece := len(block)/(1+maxContinuations) + 1
			p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: block[:piece]})
			for i := range maxContinuations {
				block = block[piece:]
				piece = min(piece, len(block))
				p.fr.WriteContinuation(f.StreamID, i == maxContinuations-1, block[:piece])
			}
		}
	}, func(w *world) {
		first, second := w.connect(), w.connect()
		defer first.Close()
		defer second.Close()
		if n := w.dials(); n != 1 {
			t.Errorf("%d connections were dialled", n)
		}
		if b := first.(*stream).c.in.block; cap(b.data) > 4<<10 {
			t.Errorf("%d bytes are kept", cap(b.data))
		}
	})
}

// A request may be larger than a frame, and as large as the server says.
func TestLargeRequest(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "http://server/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "X": {strings.Repeat("~", 40_000)}} // 13 bits each
	fields, err := requestFields(r)
	if err != nil {
		t.Fatal(err)
	}
	size := uint32(0)
	for _, f := range fields {
		size += f.Size() // section 6.5.2
	}
	for _, limit := range []uint32{size, size - 1} {
		var came frame
		inBubble(t, &Transport{}, func(p *peer) {
			p.settings(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: limit})
			came, _ = p.next(http2.FrameHeaders)
			p.headers(came.StreamID, false, ":status", "200")
			p.silence()
		}, func(w *world) {
			resp, err := w.tr.RoundTrip(r)
			if limit < size {
				if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("have %d bytes, and the server takes at most %d", size, limit)) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if len(came.fields["x"]) != 40_000 {
				t.Errorf("%d bytes of the header came", len(came.fields["x"]))
			}
		})
	}
}

// No neighbour on a connection may find out about a secret by its place in the table: RFC 7541, section 7.1.
func TestSecretsAreNeverIndexed(t *testing.T) {
	fieldsOf := func(url string, header http.Header) map[string]hpack.HeaderField {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		fields, err := requestFields(r)
		if err != nil {
			t.Fatal(err)
		}
		of := map[string]hpack.HeaderField{}
		for _, f := range fields {
			of[f.Name] = f
		}
		return of
	}
	fields := fieldsOf("https://server/ws?token=hunter2", http.Header{
		"Authorization": {"Bearer hunter2"}, "Cookie": {"session=hunter2"}, "Proxy-Authorization": {"Basic hunter2"},
		"Sec-Websocket-Protocol": {"token.hunter2"}, "Origin": {"https://page"}, "Sec-Websocket-Version": {"13"},
	})
	for name, secret := range map[string]bool{
		":path": true, "authorization": true, "cookie": true, "proxy-authorization": true, "sec-websocket-protocol": true,
		":method": false, ":protocol": false, ":scheme": false, ":authority": false, "origin": false, "sec-websocket-version": false, "user-agent": false,
	} {
		if f, ok := fields[name]; !ok || f.Sensitive != secret {
			t.Errorf("%s: sent %v, never indexed %v, want %v", name, ok, f.Sensitive, secret)
		}
	}
	if f := fieldsOf("https://server/ws", http.Header{})[":path"]; f.Sensitive {
		t.Error("a path without a query is not indexed")
	}
}

// What only HTTP/1.1 knows, and what a user has left out on purpose, is not sent: RFC 9113, section 8.2.2.
func TestFieldsThatStayBehind(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "https://[fe80::1%25eth0]:8443/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = ""
	r.Header = http.Header{"User-Agent": {""}, "Te": {"gzip"}, "Keep-Alive": {"5"}, "Transfer-Encoding": {"chunked"}, "X": {"a", "b"}}
	fields, err := requestFields(r)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range fields[1:] {
		got = append(got, f.Name+"="+f.Value)
	}
	want := []string{":protocol=websocket", ":scheme=https", ":authority=[fe80::1]:8443", ":path=/", "x=a", "x=b"}
	if !slices.Equal(got, want) {
		t.Errorf("the fields are %q, want %q", got, want)
	}
	for host, want := range map[string]string{"ser%ver": "ser%ver", "[::1]:80%": "[::1]:80%", "": "[fe80::1]:8443"} {
		r.Host, r.Header = host, http.Header{"User-Agent": {"agent/1"}}
		fields, err := requestFields(r)
		if err != nil || fields[3].Value != want {
			t.Errorf("%q, %v, want %q", fields[3].Value, err, want)
		}
		if last := fields[len(fields)-1]; last.Value != "agent/1" || len(fields) != 6 {
			t.Errorf("%v", fields)
		}
	}
	r.Header = http.Header{"User-Agent": nil}
	if fields, err := requestFields(r); len(fields) != 5 || err != nil {
		t.Errorf("%v, %v", fields, err)
	}
	for _, header := range []http.Header{{"X Y": {"a"}}, {"X": {"a", "b\n"}}} {
		r.Header = header
		if _, err := requestFields(r); err == nil {
			t.Errorf("no error for %q", header)
		}
	}
}

func TestRefusalKeepsStatusHeadersAndBody(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		f, _ := p.next(http2.FrameHeaders)
		p.headers(f.StreamID, false, ":status", "103", "link", "</style.css>")
		p.headers(f.StreamID, false, ":status", "429", "retry-after", "7", "content-length", "8")
		p.fr.WriteData(f.StreamID, false, []byte("slow "))
		p.fr.WriteDataPadded(f.StreamID, false, []byte("do"), make([]byte, 10))
		p.fr.WriteData(f.StreamID, false, []byte("wn"))
		p.headers(f.StreamID, true, "x-trailer", "1")
		p.silence()
	}, func(w *world) {
		resp, err := w.handshake(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.Proto != "HTTP/2.0" || !resp.ProtoAtLeast(2, 0) || resp.ContentLength != 8 {
			t.Errorf("it came in %s (%d), with %d bytes", resp.Proto, resp.ProtoMajor, resp.ContentLength)
		}
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" || string(body) != "slow down" || err != nil {
			t.Errorf("%v %v %q %v", resp.Status, resp.Header, body, err)
		}
		w.peers[0].next(http2.FrameData)
		if w.peers[0].has(http2.FramePing)+w.peers[0].has(http2.FrameRSTStream) != 0 {
			t.Error("a refusal that has ended is over without RST_STREAM and PING")
		}
	})
}

func TestStreamCarriesMegabytes(t *testing.T) {
	inBubble(t, &Transport{}, echo, func(w *world) {
		sent := make([]byte, 3<<20+17)
		rand.Read(sent)
		var all sync.WaitGroup
		for range 3 {
			conn := w.connect()
			all.Go(func() {
				if n, err := conn.Write(sent); n != len(sent) || err != nil {
					t.Errorf("Write: %d, %v", n, err)
				}
			})
			all.Go(func() {
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
					t.Errorf("what came back is something else: %v", err)
				}
				conn.Close()
			})
		}
		all.Wait()
		if w.dials() != 1 {
			t.Errorf("%d connections", w.dials())
		}
	})
}

func TestSlowReaderHoldsUpNoOther(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		slow, fast := p.accept(), p.accept()
		for range streamWindow / maxFrame { // all that the slow one's window takes
			p.fr.WriteData(slow, false, make([]byte, maxFrame))
		}
		for range 100 << 20 / maxFrame {
			p.fr.WriteData(fast, false, make([]byte, maxFrame))
			if f, _ := p.next(http2.FrameWindowUpdate); f.StreamID == slow {
				t.Error("credit for a stream that was not read")
			}
			p.fr.WriteWindowUpdate(0, 1)
			if p.t.Failed() {
				return
			}
		}
		p.silence()
	}, func(w *world) {
		slow, fast := w.connect(), w.connect()
		buf := make([]byte, 64<<10)
		go func() {
			for {
				if _, err := fast.Read(buf); err != nil {
					return
				}
			}
		}()
		pass(time.Second)
		if n := slow.(*stream).buffer.size; n != streamWindow {
			t.Errorf("%d bytes are kept for the slow stream", n)
		}
		fast.Close()
		slow.Close()
		if n := slow.(*stream).buffer.size; n != 0 {
			t.Errorf("%d bytes are kept after Close", n)
		}
	})
}

func TestDataBeyondTheStreamsWindowResetsIt(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id, neighbour := p.accept(), p.accept()
		for range streamWindow / maxFrame {
			p.fr.WriteData(id, false, make([]byte, maxFrame))
		}
		p.fr.WriteDataPadded(id, false, nil, []byte{}) // its padding length alone
		p.fr.WriteData(neighbour, false, []byte("hello"))
		p.silence()
	}, func(w *world) {
		conn, neighbour := w.connect(), w.connect()
		synctest.Wait()
		got, err := io.ReadAll(conn)
		if len(got) != streamWindow || err == nil || !strings.Contains(err.Error(), "1 beyond the stream's window") {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if f, _ := w.peers[0].next(http2.FrameRSTStream); f.code != http2.ErrCodeFlowControl {
			t.Errorf("%v", f)
		}
		if _, err := io.ReadFull(neighbour, make([]byte, 5)); err != nil {
			t.Errorf("the neighbour: %v", err)
		}
		conn.Close()
		neighbour.Close()
	})
}

// Or slow readers would stop the others.
func TestUnreadDataIsCreditedOnTheConnection(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		var ids []uint32
		for range connWindow/streamWindow + 1 {
			ids = append(ids, p.accept())
		}
		for _, id := range ids {
			for range streamWindow / maxFrame {
				p.fr.WriteData(id, false, make([]byte, maxFrame))
			}
		}
		p.silence()
	}, func(w *world) {
		var conns []net.Conn
		for range connWindow/streamWindow + 1 {
			conns = append(conns, w.connect())
		}
		synctest.Wait()
		var credit uint32
		for credit < connWindow {
			f, _ := w.peers[0].next(http2.FrameWindowUpdate)
			if f.StreamID != 0 {
				t.Fatalf("%v", f)
			}
			credit += f.increment
		}
		for _, conn := range conns {
			conn.Close()
		}
	})
}

func TestPaddingIsCredited(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id := p.accept()
		left, whole := streamWindow, connWindow
		for range 3 * streamWindow / 256 {
			for left < 256 || whole < 256 {
				f, ok := p.next(http2.FrameWindowUpdate)
				switch {
				case !ok:
					return
				case f.StreamID == id:
					left += int(f.increment)
				default:
					whole += int(f.increment)
				}
			}
			p.fr.WriteDataPadded(id, false, nil, make([]byte, 255))
			left, whole = left-256, whole-256
		}
		p.fr.WriteData(id, true, []byte("done"))
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		if got, err := io.ReadAll(conn); string(got) != "done" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
	})
}

func TestWriteWaitsForWindows(t *testing.T) {
	for _, row := range []struct {
		name     string
		settings []http2.Setting
		takes    int
		open     func(p *peer, id uint32)
	}{
		{"of the stream", []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}, 0, func(p *peer, id uint32) { p.fr.WriteWindowUpdate(id, 100) }},
		{"of the settings", []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 10}}, 10, func(p *peer, id uint32) {
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}) // -10 for the stream
			p.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, &Transport{}, func(p *peer) {
				p.settings(row.settings...)
				id := p.accept()
				p.Conn.SetDeadline(time.Time{})
				time.Sleep(time.Second)
				row.open(p, id)
				p.silence()
			}, func(w *world) {
				conn := w.connect()
				began := time.Now()
				n, err := conn.Write(make([]byte, 100))
				if n != 100 || err != nil || time.Since(began) != time.Second {
					t.Errorf("Write: %d, %v after %v", n, err, time.Since(began))
				}
				synctest.Wait()
				if f, _ := w.peers[0].next(http2.FrameData); row.takes > 0 && len(f.data) != row.takes {
					t.Errorf("the first frame has %d bytes", len(f.data))
				}
				conn.Close()
			})
		})
	}
}

// The connection's window is shared, and one stream alone takes all of it.
func TestConnectionWindowIsShared(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		first, second := p.accept(), p.accept()
		time.Sleep(time.Second)
		var got int
		for got < defaultWindow {
			f, _ := p.next(http2.FrameData)
			got += len(f.data)
		}
		p.fr.WriteWindowUpdate(0, 1<<20)
		var of [2]int
		for of[0] < 100 || of[1] < 100<<10 {
			f, ok := p.next(http2.FrameData)
			if !ok {
				t.Error("the rest did not come")
				return
			}
			if f.StreamID == first {
				of[1] += len(f.data)
				if of[1] == 100<<10-defaultWindow {
					of[1] = 100 << 10
				}
			} else if f.StreamID == second {
				of[0] += len(f.data)
			}
		}
		p.silence()
	}, func(w *world) {
		first, second := w.connect(), w.connect()
		var all sync.WaitGroup
		all.Go(func() { first.Write(make([]byte, 100<<10)) })
		synctest.Wait()
		all.Go(func() { second.Write(make([]byte, 100)) })
		all.Wait()
		pass(time.Second)
		first.Close()
		second.Close()
	})
}

func TestDeadlines(t *testing.T) {
	inBubble(t, &Transport{}, silentAfter(1, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}), func(w *world) {
		conn := w.connect()
		began := time.Now()
		conn.SetReadDeadline(began.Add(time.Second))
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("Read: %d, %v after %v", n, err, time.Since(began))
		}
		conn.SetWriteDeadline(began.Add(2 * time.Second))
		if n, err := conn.Write(make([]byte, 25)); n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("Write: %d, %v after %v", n, err, time.Since(began))
		}
		if n, err := conn.Write(make([]byte, 25)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write after the deadline: %d, %v", n, err)
		}
		conn.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { conn.SetDeadline(time.Unix(1, 0)) })
		bothEnd(t, conn, os.ErrDeadlineExceeded).Wait() // of calls under way, too
		conn.Close()
		if err := conn.SetDeadline(time.Time{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("SetDeadline after Close: %v", err)
		}
	})
}

// bothEnd begins a Read and a Write, which are to wait and end with want.
func bothEnd(t *testing.T, conn net.Conn, want error) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, f := range []func([]byte) (int, error){conn.Read, conn.Write} {
		all.Go(func() {
			if _, err := f(make([]byte, 100)); !errors.Is(err, want) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
	return &all
}

func TestCloseEndsReadAndWriteAndNoOtherStream(t *testing.T) {
	inBubble(t, &Transport{}, silentAfter(2, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10}), func(w *world) {
		other, conn := w.connect(), w.connect()
		all := bothEnd(t, conn, net.ErrClosed)
		synctest.Wait()
		conn.Close()
		conn.Close()
		all.Wait()
		p := w.peers[0]
		if f, _ := p.next(http2.FrameRSTStream); f.StreamID != 3 || f.code != http2.ErrCodeCancel {
			t.Errorf("%v", f) // at once, since what it was writing is torn
		}
		if n, err := other.Write([]byte("hello")); n != 5 || err != nil {
			t.Errorf("the other stream: %d, %v", n, err)
		}
		p.fr.WriteData(1, false, []byte("hello"))
		if _, err := io.ReadFull(other, make([]byte, 5)); err != nil {
			t.Errorf("the other stream: %v", err)
		}
		other.Close()
	})
}

// A server reads all that was sent before a Close, so it sees the close frame.
func TestCloseIsAnEndOfStreamAndLaterAReset(t *testing.T) {
	inBubble(t, &Transport{}, silentAfter(1), func(w *world) {
		conn := w.connect()
		conn.Write([]byte("goodbye"))
		conn.Close()
		synctest.Wait()
		p := w.peers[0]
		if p.has(http2.FrameRSTStream) != 0 {
			t.Error("RST_STREAM at once")
		}
		f, _ := p.next(http2.FrameData)
		end, _ := p.next(http2.FrameData)
		if string(f.data) != "goodbye" || !end.Flags.Has(http2.FlagDataEndStream) {
			t.Errorf("%v %v", f, end)
		}
		pass(goodbye)
		if f, _ := p.next(http2.FrameRSTStream); f.code != http2.ErrCodeCancel {
			t.Errorf("%v", f)
		}
	})
}

func TestCloseWriteLeavesReading(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id := p.accept()
		for f, ok := p.next(http2.FrameData); ok; f, ok = p.next(http2.FrameData) {
			if f.Flags.Has(http2.FlagDataEndStream) {
				break
			}
		}
		time.Sleep(time.Minute)
		p.fr.WriteData(id, true, []byte("last words"))
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		conn.Write([]byte("goodbye"))
		if err := conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Error(err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
		if got, err := io.ReadAll(conn); string(got) != "last words" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
		if w.peers[0].has(http2.FrameRSTStream) != 0 {
			t.Error("RST_STREAM for a stream that both sides have ended")
		}
	})
}

// What a server credits before anything was sent acknowledges nothing.
func TestAcknowledged(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id := p.accept()
		p.fr.WriteWindowUpdate(id, 1<<20)
		p.next(http2.FrameData)
		time.Sleep(time.Second)
		p.fr.WriteWindowUpdate(id, 100)
		time.Sleep(time.Second)
		p.fr.WriteWindowUpdate(id, 1<<20)
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		synctest.Wait()
		conn.Write(make([]byte, 1000))
		synctest.Wait()
		for _, want := range []int64{0, 100, 1000} {
			if got := conn.(*stream).Acknowledged(); got != want {
				t.Errorf("%d and not %d", got, want)
			}
			pass(time.Second)
		}
		conn.Close()
	})
}

func TestEndOfRequestContextLeavesTheStream(t *testing.T) {
	inBubble(t, &Transport{}, echo, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		reused := false
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GotConn: func(info httptrace.GotConnInfo) {
				if _, is := info.Conn.(*stream); !is || info.Reused != reused {
					t.Errorf("a hook got %T, reused %v", info.Conn, info.Reused)
				}
			},
			ConnectStart: func(string, string) { t.Error("a hook was called") },
		})
		resp, err := w.handshake(ctx)
		if err != nil {
			t.Fatal(err)
		}
		reused = true
		again, err := w.handshake(ctx)
		if err != nil {
			t.Fatal(err)
		}
		again.Body.Close()
		if none, err := w.handshake(httptrace.WithClientTrace(w.Context(), &httptrace.ClientTrace{})); err != nil {
			t.Error(err)
		} else {
			none.Body.Close()
		}
		cancel()
		synctest.Wait()
		conn := resp.Body.(net.Conn)
		conn.Write([]byte("x"))
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		conn.Close()
	})
}

func TestResetIsOfTheNetwork(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id := p.accept()
		p.fr.WriteData(id, false, []byte("last words"))
		p.fr.WriteRSTStream(id, http2.ErrCodeInternal)
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		synctest.Wait()
		got, err := io.ReadAll(conn)
		if string(got) != "last words" || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := conn.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write: %v", err)
		}
		conn.Close()
		if w.peers[0].has(http2.FrameRSTStream) != 0 {
			t.Error("a reset was answered")
		}
	})
}

// Whatever becomes of a request, its body is closed.
func TestOtherRequestsAreRefused(t *testing.T) {
	tr := &Transport{}
	defer tr.Close()
	for _, test := range []struct{ method, url, upgrade, want string }{
		{http.MethodGet, "https://server/", "", "no other requests"},
		{http.MethodGet, "https://server/", "h2c", "no other requests"},
		{http.MethodPost, "https://server/", "WebSocket", "no other requests"},
		{http.MethodGet, "wss://server/", "WebSocket", `the scheme "wss"; it must be http or https`},
	} {
		closed := false
		r, _ := http.NewRequest(test.method, test.url, closes{func() { closed = true }})
		r.Header.Set("Upgrade", test.upgrade)
		if _, err := tr.RoundTrip(r); err == nil || !strings.Contains(err.Error(), test.want) || !closed {
			t.Errorf("%v: %v, closed %v", test, err, closed)
		}
	}
}

// closes is a body that says when it is closed.
type closes struct{ closed func() }

func (closes) Read([]byte) (int, error) { return 0, io.EOF }
func (c closes) Close() error           { c.closed(); return nil }

// A PING is answered with an ACK, and with its own data.
func TestPingIsAnswered(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		id := p.accept()
		p.fr.WritePing(false, [8]byte{1, 2, 3})
		if f, _ := p.next(http2.FramePing); !f.Flags.Has(http2.FlagPingAck) || f.ping != [8]byte{1, 2, 3} {
			t.Errorf("%v %v", f.Flags, f.ping)
		}
		p.fr.WriteData(id, true, []byte("x"))
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		if got, err := io.ReadAll(conn); string(got) != "x" {
			t.Errorf("%q, %v", got, err)
		}
		conn.Close()
	})
}
