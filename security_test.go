package wsnotify_test

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
)

// The promises of SECURITY.md that have no place in another test.

// No secret of the address, the headers or the cookies reaches an error or
// the log, whatever the server makes of them; nor does what it writes reach
// them as it is.
func TestNoSecretIsShown(t *testing.T) {
	echo := func(p *rawPeer) string { // what the server knows of the client
		request := p.request()
		return strings.NewReplacer("\r", "", "\n", " ").Replace(request)
	}
	for name, script := range map[string]func(*rawPeer){
		"redirect":     func(p *rawPeer) { p.write(response(302, "", "Location: ws://elsewhere/?"+echo(p))) },
		"bad redirect": func(p *rawPeer) { p.write(response(302, "", "Location: http://[::1/%zz?"+echo(p))) },
		"refusal": func(p *rawPeer) {
			s := echo(p)
			p.write(response(401, s, "Set-Cookie: session=hunter2", "WWW-Authenticate: Bearer "+s))
		},
		"FIN":   func(p *rawPeer) { p.request() },
		"close": func(p *rawPeer) { p.accept(); p.frames(closeFrame(1008, "\x1b[31mno\r\nlevel=ERROR")); p.closed() },
		"lost":  func(p *rawPeer) { p.accept("Set-Cookie: session=hunter2") },
	} {
		t.Run(name, func(t *testing.T) {
			jar, _ := cookiejar.New(nil)
			var log bytes.Buffer
			var texts []string
			cfg := wsnotify.Config{
				BackOff:    never,
				HTTPClient: &http.Client{Jar: jar, Transport: &http.Transport{}},
				Header:     http.Header{"Authorization": {"Bearer hunter2"}, "X-Api-Key": {"hunter2"}},
				Logger:     slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				OnError:    func(err error) { texts = append(texts, err.Error()) },
				OnGiveUp:   func(err *wsnotify.GiveUpError) { texts = append(texts, err.Error()) },
				OnClose:    func(ev wsnotify.CloseEvent) { texts = append(texts, ev.Failure.Err.Error()) },
				OnStateChange: func(ev wsnotify.StateChange) {
					if ev.Cause != nil {
						texts = append(texts, ev.Cause.Error())
					}
				},
			}
			for _, base := range []string{"ws://user:hunter2@server/?token=hunter2&user=", "ws://hunter2@server/ws/"} {
				inRawBubble(t, cfg, script, func(w *world, _ *rawNet) {
					err := w.c.Connect(w.Context(), base, "ada")
					<-w.c.Done() // after which no callback runs
					if err != nil {
						texts = append(texts, err.Error())
					}
				})
			}
			if len(texts) < 4 {
				t.Errorf("only %q was reported", texts)
			}
			for _, text := range texts {
				checkShown(t, text)
				if strings.Contains(text, "hunter2") {
					t.Errorf("an error says %q", text)
				}
			}
			for line := range strings.Lines(log.String()) {
				checkShown(t, strings.TrimSuffix(line, "\n"))
				if strings.Contains(line, "hunter2") || strings.HasPrefix(line, "level=ERROR") {
					t.Errorf("the log says %q", line)
				}
			}
		})
	}
}

// A refusal can be looked at, as far as it goes.
func TestRefusalIsShownToTheProgram(t *testing.T) {
	cfg := wsnotify.Config{BackOff: never}
	inRawBubble(t, cfg, func(p *rawPeer) {
		p.answer(response(307, strings.Repeat("no", 8<<10), "Location: ws://elsewhere/?token=a"))
	}, func(w *world, n *rawNet) {
		err := w.c.Connect(w.Context(), "ws://server/", "")
		var refused *wsnotify.HandshakeError
		if !errors.As(err, &refused) || refused.Header.Get("Location") != "ws://elsewhere/?token=a" || len(refused.Body) != 1024 {
			t.Errorf("%+v", err)
		}
		if n.dials.Load() != 1 {
			t.Errorf("it dialled %d times", n.dials.Load())
		}
	})
}

// Cookies are kept, and sent, only by the jar of a user's own client.
func TestCookiesNeedAJar(t *testing.T) {
	for _, withJar := range []bool{false, true} {
		client := &http.Client{Transport: &http.Transport{}}
		if withJar {
			client.Jar, _ = cookiejar.New(nil)
		}
		var requests []string
		inRawBubble(t, wsnotify.Config{BackOff: every(time.Second), HTTPClient: client}, func(p *rawPeer) {
			request := p.request()
			if requests = append(requests, request); len(requests) == 1 {
				p.write(response(503, "", "Set-Cookie: session=s1"))
				return
			}
			p.write(switching(request))
			p.silence()
		}, func(w *world, _ *rawNet) {
			w.must(w.c.Connect(w.Context(), "ws://server.test/", ""))
			if len(requests) != 2 || strings.Contains(requests[0], "Cookie") || strings.Contains(requests[1], "Cookie: session=s1") != withJar {
				t.Errorf("with a jar: %v, %q", withJar, requests)
			}
		})
	}
}

// Nothing is allocated because a peer says that it will send as much, even if
// there is no limit.
func TestClaimedLengthIsNotAllocated(t *testing.T) {
	for name, frame := range map[string][]byte{
		"a message":    {0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0},
		"a fragment":   {0x02, 127, 0, 0, 0, 1, 0, 0, 0, 0},
		"all there is": {0x82, 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := wsnotify.Config{BackOff: never, ReadLimit: -1}
			inRawBubble(t, cfg, func(p *rawPeer) {
				p.accept()
				p.frames(frame)
				p.write(strings.Repeat("x", 100<<10))
				p.silence()
			}, func(w *world, _ *rawNet) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				w.must(w.c.Connect(w.Context(), "ws://server/", ""))
				w.pass(time.Second)
				runtime.ReadMemStats(&after)
				if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
					t.Errorf("%d bytes were allocated for 100 KiB", n)
				}
				<-w.c.Done()
			})
		})
	}
}

// receiveDeflated has a client receive one compressed message of size zeros, and returns the
// sizes of what was delivered and how the connection ended.
func receiveDeflated(t *testing.T, size int, readLimit int64) (got []int, end wsnotify.Failure) {
	t.Helper()
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	w.Write(make([]byte, size))
	w.Flush()
	deflated := strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
	cfg := wsnotify.Config{
		BackOff: never, ReadLimit: readLimit, Compression: wsnotify.CompressionContextTakeover,
		OnMessage: func(m wsnotify.Message) { got = append(got, len(m.Data)) },
	}
	inRawBubble(t, cfg, func(p *rawPeer) {
		p.accept("Sec-WebSocket-Extensions: permessage-deflate")
		p.frames(reserved(4, binaryOf(deflated)))
		p.rest(time.Second)
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server/", ""))
		<-w.c.Done()
		end = *w.c.Status().LastFailure
	})
	return got, end
}

// Pings that can't be answered, since the peer reads nothing, are not kept:
// the latest is all that there is to answer.
func TestUnansweredPingsTakeNoMemory(t *testing.T) {
	count := 200
	if underRace {
		count = 20
	}
	inRawBubble(t, wsnotify.Config{BackOff: never, WriteTimeout: -1}, func(p *rawPeer) {
		request := p.request()
		p.stopReading()
		p.write(switching(request))
		flood(count*1000, ping(strings.Repeat("x", 125)))(p)
	}, func(w *world, _ *rawNet) {
		w.must(w.c.Connect(w.Context(), "ws://server/", ""))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		w.pass(time.Millisecond)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if after.HeapAlloc > before.HeapAlloc+1<<20 {
			t.Errorf("%d bytes are kept", after.HeapAlloc-before.HeapAlloc)
		}
		<-w.c.Done()
	})
}

// A TLS handshake that never ends is bounded as everything in an attempt is.
func TestSilenceInTheTLSHandshake(t *testing.T) {
	for name, script := range map[string]func(*rawPeer){
		"nothing":       (*rawPeer).silence,
		"half a record": func(p *rawPeer) { p.write("\x16\x03\x03\x40\x00\x02\x00"); p.silence() },
		"a byte a second": func(p *rawPeer) {
			p.drip("\x16\x03\x03\x40\x00"+strings.Repeat("\x00", 1<<14), time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inRawBubble(t, wsnotify.Config{BackOff: never}, script, func(w *world, _ *rawNet) {
				err := w.c.Connect(w.Context(), "wss://server/", "")
				w.wantErr(err, context.DeadlineExceeded)
				if took := time.Since(w.start); took != 10*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
