package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/handshake"
	"golang.org/x/net/http2"
)

func TestOneDialServesAllWhoWait(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		time.Sleep(time.Second)
		echo(p)
	}, func(w *world) {
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				conn := w.connect()
				conn.Write([]byte("x"))
				conn.Read(make([]byte, 1))
				conn.Close()
			})
		}
		all.Wait()
		w.wantDials(1)
	})
}

func TestPoolGrowsWhereTheServerAllowsFewStreams(t *testing.T) {
	for _, row := range []struct {
		name  string
		mine  int
		limit uint32
		dials int
	}{{"the server's limit", 0, 10, 10}, {"MaxStreams", 20, 1000, 5}, {"the smaller of both", 20, 10, 10}} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, &Transport{MaxStreams: row.mine}, func(p *peer) {
				p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: row.limit})
				p.serve()
			}, func(w *world) {
				var all sync.WaitGroup
				var mu sync.Mutex
				var conns []net.Conn
				for range 100 {
					all.Go(func() {
						conn := w.connect()
						mu.Lock()
						defer mu.Unlock()
						conns = append(conns, conn)
					})
				}
				all.Wait()
				if w.dials() != row.dials {
					t.Errorf("%d dials and not %d", w.dials(), row.dials)
				}
				for _, conn := range conns {
					conn.Close()
				}
				synctest.Wait()
				w.connect().Close()
				if w.dials() != row.dials {
					t.Error("what is free again is not used")
				}
			})
		})
	}
}

func TestStreamLimitThatChanges(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		time.Sleep(time.Second)
		p.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
		p.serve()
	}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second/2)
		defer cancel()
		if _, err := w.handshake(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "MAX_CONCURRENT_STREAMS is 0") {
			t.Errorf("no stream is allowed: %v", err)
		}
		began := time.Now()
		w.connect().Close()
		if w.dials() != 1 || time.Since(began) != time.Second/2 {
			t.Errorf("%d dials, after %v", w.dials(), time.Since(began))
		}
	})
}

func TestWaitersContextBoundsItsWaitAlone(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		time.Sleep(2 * time.Second)
		echo(p)
	}, func(w *world) {
		var all sync.WaitGroup
		all.Go(func() { // which began the dial
			ctx, cancel := context.WithTimeout(w.Context(), time.Second)
			defer cancel()
			began := time.Now()
			if _, err := w.handshake(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != time.Second {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
		synctest.Wait()
		all.Go(func() { w.connect().Close() })
		all.Wait()
		w.wantDials(1)
	})
}

func TestDialEndsWhenNobodyWaits(t *testing.T) {
	var ended atomic.Int64
	tr := &Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		ended.Add(1)
		return nil, ctx.Err()
	}}
	inBubble(t, tr, nil, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.handshake(ctx)
		synctest.Wait()
		if ended.Load() != 1 || len(tr.pools) != 0 {
			t.Errorf("%d dials have ended, and %d pools are left", ended.Load(), len(tr.pools))
		}
	})
}

// A dial that minds no context holds up nobody, and what it brings is closed.
func TestDialThatMindsNoContext(t *testing.T) {
	var dials atomic.Int64
	var w *world
	tr := &Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) == 1 {
			time.Sleep(time.Minute)
		}
		return w.dial(ctx, network, addr)
	}}
	inBubble(t, tr, echo, func(world *world) {
		w = world
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		w.handshake(ctx)
		w.connect().Close()
		pass(time.Hour)
		if w.open.Load() != 0 {
			t.Errorf("%d connections are open after an hour", w.open.Load())
		}
	})
}

func TestFailedDialFailsAllWhoWait(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	var dials atomic.Int64
	tr := &Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		dials.Add(1)
		time.Sleep(time.Second)
		return nil, refused
	}}
	inBubble(t, tr, nil, func(w *world) {
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if _, err := w.handshake(w.Context()); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		if n := dials.Load(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

func TestIdleConnectionIsKeptAWhile(t *testing.T) {
	inBubble(t, &Transport{}, echo, func(w *world) {
		w.connect().Close()
		pass(idleTimeout - time.Second)
		w.connect().Close()
		pass(idleTimeout - time.Second)
		if w.dials() != 1 || w.open.Load() != 1 {
			t.Errorf("%d dials, %d open", w.dials(), w.open.Load())
		}
		pass(2 * time.Second)
		if w.open.Load() != 0 {
			t.Error("it is still open")
		}
		if f, _ := w.peers[0].next(http2.FrameGoAway); f.code != http2.ErrCodeNo {
			t.Errorf("%v", f)
		}
	})
}

// Of a server that nobody is connected to nothing is kept, whether there was a connection or not.
func TestPoolsAreForgotten(t *testing.T) {
	pools := func(w *world) int {
		w.tr.mu.Lock()
		defer w.tr.mu.Unlock()
		return len(w.tr.pools)
	}
	refused := errors.New("refused")
	inBubble(t, &Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}, nil, func(w *world) {
		if _, err := w.handshake(w.Context()); !errors.Is(err, refused) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if n := pools(w); n != 0 {
			t.Errorf("after a dial that failed there are %d pools", n)
		}
	})
	inBubble(t, &Transport{}, echo, func(w *world) {
		conn := w.connect()
		if n := pools(w); n != 1 {
			t.Errorf("with a connection there are %d pools", n)
		}
		conn.Close()
		pass(idleTimeout + time.Second)
		if n := pools(w); n != 0 {
			t.Errorf("without a connection there are %d pools", n)
		}
	})
}

func TestGoAwayLeavesStreamsAndTakesNone(t *testing.T) {
	inBubble(t, &Transport{}, onFirst(func(p *peer) {
		p.settings()
		p.accept()
		second := p.accept()
		p.next(http2.FrameHeaders)
		p.fr.WriteGoAway(second, http2.ErrCodeNo, []byte("token=hunter2"))
		p.serve()
	}), func(w *world) {
		first, second := w.connect(), w.connect()
		third := w.connect() // was not processed, so it goes over another connection
		w.wantDials(2)
		second.Write([]byte("x"))
		if _, err := second.Read(make([]byte, 1)); err != nil {
			t.Errorf("a stream that the server processes: %v", err)
		}
		first.Close()
		second.Close()
		pass(2 * goodbye)
		if third.Write([]byte("x")); w.open.Load() != 1 {
			t.Errorf("%d connections are open, and the first has no streams", w.open.Load())
		}
		third.Close()
	})
}

// A connection that goes away ends at once if it has no stream, or none that the server processes.
func TestGoAwayEndsAConnectionWithoutStreams(t *testing.T) {
	for _, idle := range []bool{true, false} {
		inBubble(t, &Transport{}, func(p *peer) {
			p.settings()
			last := p.accept()
			if idle {
				p.next(http2.FrameData) // the end of the stream
				p.fr.WriteData(last, true, nil)
			} else {
				last = 0
			}
			time.Sleep(time.Second)
			p.fr.WriteGoAway(last, http2.ErrCodeNo, nil)
			p.silence()
		}, func(w *world) {
			conn := w.connect()
			if idle {
				conn.Close()
			}
			pass(time.Second - 1)
			if w.open.Load() != 1 {
				t.Error("it is closed before it goes away")
			}
			pass(2)
			if w.open.Load() != 0 {
				t.Errorf("idle %v: it is still open", idle)
			}
			conn.Close()
		})
	}
}

func TestGoAwayEndsOpenStreamsBehindTheLast(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
		p.accept()
		p.fr.WriteGoAway(0, http2.ErrCodeInternal, nil)
		p.silence()
	}, func(w *world) {
		conn := w.connect()
		bothEnd(t, conn, syscall.ECONNRESET).Wait()
		_, err := conn.Read(make([]byte, 1))
		if err == nil || err.Error() != "h2: the server is ending the shared connection (GOAWAY, INTERNAL_ERROR)" {
			t.Errorf("%v", err)
		}
		conn.Close()
	})
}

// A connection that ends before it has allowed a single stream is an error for those who waited for it: they don't dial
// over and over.
func TestServerThatAllowsNothingAndGoesAway(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		time.Sleep(time.Second)
		p.fr.WriteGoAway(0, http2.ErrCodeNo, nil)
		p.silence()
	}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
		defer cancel()
		began := time.Now()
		_, err := w.handshake(ctx)
		if err == nil || err.Error() != "h2: the server is ending the shared connection (GOAWAY, NO_ERROR)" || time.Since(began) != tries*time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		w.wantDials(tries)
	})
}

// A request that the server may have acted on before its connection broke is not sent again, though it has sent GOAWAY.
func TestRequestsOfAConnectionThatBreaksAreNotTriedAgain(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		f, _ := p.next(http2.FrameHeaders)
		p.fr.WriteGoAway(f.StreamID, http2.ErrCodeNo, nil)
	}, func(w *world) {
		_, err := w.handshake(w.Context())
		if want := "h2: the server is ending the shared connection (GOAWAY, NO_ERROR): h2: the shared connection was lost: unexpected EOF"; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		w.wantDials(1)
	})
}

// The way to a server is by a proxy or not, and connections are shared by those who take the same.
func TestProxyIsPartOfTheWay(t *testing.T) {
	ways := map[string]string{}
	tr := &Transport{Proxy: func(r *http.Request) (*url.URL, error) {
		if via := r.URL.Query().Get("via"); via != "" {
			return &url.URL{Scheme: "http", Host: via}, nil
		}
		return nil, nil
	}}
	inBubble(t, tr, echo, func(w *world) {
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := w.dial(ctx, network, addr)
			if ways[addr] += "x"; addr == "server:80" {
				return conn, err
			}
			near, far := net.Pipe()
			w.ending.Go(func() {
				far.Read(make([]byte, 4<<10))
				io.WriteString(far, "HTTP/1.1 200 ok\r\n\r\n")
				w.ending.Go(func() { io.Copy(conn, far); conn.Close() })
				io.Copy(far, conn)
				far.Close()
			})
			return near, nil
		}
		for range 2 {
			for _, via := range []string{"", "one", "two"} {
				r, _ := http.NewRequest(http.MethodGet, "http://server/?via="+via, nil)
				r.Header.Set("Upgrade", "websocket")
				resp, err := tr.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
			}
		}
		if fmt.Sprint(ways) != "map[one:80:x server:80:x two:80:x]" {
			t.Errorf("dialled: %v", ways)
		}
	})
}

// A server that ends each connection at once is dialled a few times, not for
// as long as ctx allows.
func TestServerThatAlwaysGoesAway(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		p.fr.WriteGoAway(0, http2.ErrCodeNo, nil)
	}, func(w *world) {
		if _, err := w.handshake(w.Context()); !handshake.IsNetworkError(err) {
			t.Errorf("%v", err)
		}
		if w.dials() > tries {
			t.Errorf("%d dials", w.dials())
		}
	})
}

func TestRefusedStreamIsTriedAgain(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		f, _ := p.next(http2.FrameHeaders)
		p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
		p.serve()
	}, func(w *world) {
		w.connect().Close()
	})
}

// A request that the server may have acted on is not sent again.
func TestOtherResetsAreNotTriedAgain(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		f, _ := p.next(http2.FrameHeaders)
		p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeInternal)
		p.serve()
	}, func(w *world) {
		if _, err := w.handshake(w.Context()); err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") {
			t.Errorf("%v", err)
		}
	})
}

func TestUnansweredPingClosesTheConnection(t *testing.T) {
	inBubble(t, &Transport{}, onFirst(silentAfter(1)), func(w *world) {
		neighbour := w.connect()
		ctx, cancel := context.WithTimeout(w.Context(), 10*time.Second)
		defer cancel()
		if _, err := w.handshake(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		began := time.Now()
		w.connect().Close() // waits for the answer, and then dials
		if took := time.Since(began); took != suspectAfter || w.dials() != 2 {
			t.Errorf("%d dials, after %v", w.dials(), took)
		}
		_, err := neighbour.Read(make([]byte, 1))
		if took := time.Since(began); took != deadAfter || !handshake.IsNetworkError(err) || !strings.Contains(err.Error(), "PING") {
			t.Errorf("%v after %v", err, took)
		}
		neighbour.Close()
	})
}

func TestAnsweredPingKeepsTheConnection(t *testing.T) {
	inBubble(t, &Transport{}, func(p *peer) {
		p.settings()
		p.accept()
		f, _ := p.next(http2.FramePing)
		time.Sleep(time.Second / 2)
		p.fr.WritePing(true, f.ping)
		p.accept()
		p.silence()
	}, func(w *world) {
		w.connect().Close()
		began := time.Now()
		conn := w.connect()
		if took := time.Since(began); took != time.Second/2 || w.dials() != 1 {
			t.Errorf("%d dials, after %v", w.dials(), took)
		}
		pass(time.Minute)
		if w.open.Load() != 1 {
			t.Error("the connection was closed")
		}
		conn.Close()
	})
}

// While other things come, the answer to a PING may be behind them.
func TestBusyConnectionHasTimeToAnswer(t *testing.T) {
	inBubble(t, &Transport{}, onFirst(func(p *peer) {
		p.settings()
		id := p.accept()
		p.accept()
		for range 29 {
			time.Sleep(time.Second)
			p.fr.WriteData(id, false, []byte("x"))
		}
		f, _ := p.next(http2.FramePing)
		p.fr.WritePing(true, f.ping)
		p.silence()
	}), func(w *world) {
		busy, conn := w.connect(), w.connect()
		conn.Close()
		pass(2 * time.Minute)
		if w.peers[0].end {
			t.Error("the connection was closed")
		}
		busy.Close()
	})
}

// A connection that was quiet for long may be dead, and is asked before an
// attempt is risked on it.
func TestQuietConnectionIsAskedFirst(t *testing.T) {
	inBubble(t, &Transport{}, onFirst(silentAfter(1)), func(w *world) {
		neighbour := w.connect()
		pass(time.Minute)
		began := time.Now()
		w.connect().Close()
		if took := time.Since(began); w.dials() != 2 || took != suspectAfter {
			t.Errorf("%d dials, after %v", w.dials(), took)
		}
		neighbour.Close()
	})
}

func TestLostConnectionFailsItsStreamsAndNewOnesDial(t *testing.T) {
	inBubble(t, &Transport{}, onFirst(func(p *peer) {
		p.settings()
		for range 50 {
			p.accept()
		}
		p.Close()
	}), func(w *world) {
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				conn := w.connect()
				if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%v", err)
				}
				conn.Close()
				w.connect().Close()
			})
		}
		all.Wait()
		w.wantDials(2)
	})
}

func TestCloseEndsStreamsAndLaterHandshakes(t *testing.T) {
	tr := &Transport{}
	inBubble(t, tr, echo, func(w *world) {
		conn := w.connect()
		tr.Close()
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "Transport is closed") {
			t.Errorf("%v", err)
		}
		if _, err := w.handshake(w.Context()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		w.wantDials(1)
		conn.Close()
		if f, _ := w.peers[0].next(http2.FrameGoAway); f.code != http2.ErrCodeNo {
			t.Errorf("%v", f)
		}
	})
}

// A peer that reads nothing, while the writer waits for it, holds up the end of its
// connection for a moment after Close, and not at all where it is taken for dead.
func TestEndOfAConnectionWhosePeerTakesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(w *world)
		took time.Duration
	}{
		"Close": {func(w *world) { w.tr.Close() }, goodbye},
		"unanswered PING": {func(w *world) {
			w.connect().Close() // asks first, since it was quiet for so long, and then dials
			for w.open.Load() == 2 {
				time.Sleep(time.Millisecond)
			}
		}, deadAfter},
	} {
		t.Run(name, func(t *testing.T) {
			var over chan struct{}
			inBubble(t, &Transport{}, onFirst(func(p *peer) {
				p.settings()
				p.accept()
				p.stopReading()
				<-over
			}), func(w *world) {
				over = make(chan struct{})
				conn := w.connect()
				conn.Write([]byte("one that is under way"))
				synctest.Wait()
				conn.Write([]byte("one that nobody takes"))
				synctest.Wait()
				pass(2 * quietFor)
				began := time.Now()
				test.end(w)
				if took := time.Since(began); took < test.took || took > test.took+10*time.Millisecond {
					t.Errorf("it took %v, not %v", took, test.took)
				}
				close(w.peers[0].stop)
				close(over)
			})
		})
	}
}

// The timer that bounds the last write ends with it.
func TestConnectionOfAUserIsClosedOnce(t *testing.T) {
	tr := &Transport{}
	inBubble(t, tr, echo, func(w *world) {
		var closes atomic.Int64
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := w.dial(ctx, network, addr)
			return &nearConn{conn, func() { closes.Add(1) }}, err
		}
		w.connect().Close()
		tr.Close()
		pass(2 * goodbye)
		if n := closes.Load(); n != 1 {
			t.Errorf("it was closed %d times", n)
		}
	})
}

func TestCloseEndsHandshakesUnderWay(t *testing.T) {
	tr := &Transport{}
	inBubble(t, tr, func(p *peer) { p.silence() }, func(w *world) {
		time.AfterFunc(time.Second, func() { tr.Close() })
		began := time.Now()
		if _, err := w.handshake(w.Context()); !errors.Is(err, net.ErrClosed) || time.Since(began) != time.Second {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// fallback answers every request.
type fallback struct{ asked atomic.Int64 }

func (f *fallback) RoundTrip(*http.Request) (*http.Response, error) {
	f.asked.Add(1)
	return nil, errors.New("fell back")
}

func TestFallback(t *testing.T) {
	lacks := map[string]func(*peer){
		"extended CONNECT": func(p *peer) { p.fr.WriteSettings(); p.silence() },
		"HTTP/2":           func(p *peer) { io.WriteString(p, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"); p.silence() },
		"it for this": func(p *peer) {
			p.settings()
			for f, ok := p.next(http2.FrameHeaders); ok; f, ok = p.next(http2.FrameHeaders) {
				p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeHTTP11Required)
			}
		},
	}
	for name, script := range lacks {
		t.Run(name, func(t *testing.T) {
			f := &fallback{}
			inBubble(t, &Transport{Fallback: f}, script, func(w *world) {
				for range 3 {
					if _, err := w.handshake(w.Context()); err == nil || err.Error() != "fell back" {
						t.Errorf("%v", err)
					}
				}
				if f.asked.Load() != 3 || w.dials() != 1 {
					t.Errorf("%d fell back after %d dials", f.asked.Load(), w.dials())
				}
				pass(lackingFor)
				w.handshake(w.Context())
				if f.asked.Load() != 4 || w.dials() != 2 {
					t.Errorf("%d fell back after %d dials", f.asked.Load(), w.dials())
				}
			})
			inBubble(t, &Transport{}, script, func(w *world) {
				for range 2 {
					if _, err := w.handshake(w.Context()); err == nil || !strings.Contains(err.Error(), "RFC 8441") || !strings.Contains(err.Error(), "set Transport.Fallback") {
						t.Errorf("%v", err)
					}
				}
				if asked := w.dials() == 2 || name == "it for this"; !asked {
					t.Errorf("%d dials", w.dials())
				}
			})
		})
	}
}

// Nothing but what a server lacks is a reason to fall back.
func TestOtherErrorsDoNotFallBack(t *testing.T) {
	f := &fallback{}
	inBubble(t, &Transport{Fallback: f}, func(p *peer) { p.settings(); p.next(http2.FrameHeaders) }, func(w *world) {
		if _, err := w.handshake(w.Context()); err == nil || err.Error() != "h2: the shared connection was lost: unexpected EOF" || f.asked.Load() != 0 {
			t.Errorf("%v, %d fell back", err, f.asked.Load())
		}
	})
}

// What is known of a server is known for an hour from when it was found, and then of no other.
func TestServersThatLackItAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &Transport{Fallback: &fallback{}}
		a, b := target{addr: "a:443"}, target{addr: "b:443"}
		tr.remember(a)
		time.Sleep(lackingFor - 1)
		tr.remember(a)
		tr.remember(target{addr: "c:443"})
		if !tr.lacks(a) || tr.lacks(b) {
			t.Error("it is not known of the one, or of another")
		}
		time.Sleep(time.Nanosecond)
		tr.remember(b)
		if len(tr.lacking) != 2 || tr.lacks(a) || !tr.lacks(b) {
			t.Errorf("%v is remembered", tr.lacking)
		}
		tr.Fallback = nil
		if tr.lacks(b) {
			t.Error("it matters without a Fallback")
		}
	})
}

func TestPlainHTTPNeedsPriorKnowledge(t *testing.T) {
	w := &world{T: t, tr: &Transport{}}
	if _, err := w.handshake(t.Context()); err == nil || !strings.Contains(err.Error(), "PriorKnowledge") {
		t.Errorf("%v", err)
	}
	f := &fallback{}
	w.tr.Fallback = f
	if _, err := w.handshake(t.Context()); f.asked.Load() != 1 || len(w.tr.lacking) != 0 {
		t.Errorf("%v", err)
	}
}

func TestNoSecretInErrors(t *testing.T) {
	via, _ := url.Parse("http://ada:hunter2@proxy:3128")
	answers := map[string]string{
		"refused":   "HTTP/1.1 407 no\r\nContent-Length: 7\r\n\r\nhunter2",
		"malformed": "HTTP/1.1 hunter2\r\n\r\n",
		"ended":     "",
		"endless":   "HTTP/1.1 200 ok\r\n" + strings.Repeat("X: hunter3\r\n", 10_000),
	}
	wants := map[string]string{
		"refused":   "the proxy answered CONNECT with 407 Proxy Authentication Required; set user and password in its url",
		"malformed": `malformed HTTP status code "hunter2"`, // the core cuts what an error quotes of a peer
		"ended":     "h2: the proxy ended the connection instead of answering CONNECT: unexpected EOF",
		"endless":   "h2: the proxy's answer to CONNECT has more than 65536 bytes of headers",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			tr := &Transport{Proxy: http.ProxyURL(via), DialContext: func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					far.Read(make([]byte, 4<<10))
					io.WriteString(far, answer)
					far.Close()
				}()
				return near, nil
			}}
			inBubble(t, tr, nil, func(w *world) {
				_, err := w.handshake(w.Context())
				if err == nil {
					t.Fatal("no error")
				}
				if want := wants[name]; err.Error() != want {
					t.Errorf("%v, want %s", err, want)
				}
				var proxy *handshake.ProxyError
				if refused := name == "refused"; refused != errors.As(err, &proxy) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestHTTPProxy(t *testing.T) {
	for user, authorization := range map[string]string{"": "", "ada@": "\r\nProxy-Authorization: Basic YWRhOg==", "ada:secret@": "\r\nProxy-Authorization: Basic YWRhOnNlY3JldA=="} {
		for port, dialled := range map[string]string{"": "proxy:80", ":3128": "proxy:3128"} {
			throughProxy(t, "http://"+user+"proxy"+port, dialled, authorization)
		}
	}
}

func throughProxy(t *testing.T, address, dialled, authorization string) {
	t.Helper()
	via, _ := url.Parse(address)
	var asked string
	var w *world
	tr := &Transport{Proxy: http.ProxyURL(via)}
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != dialled {
			t.Errorf("it dials %s", addr)
		}
		near, far := net.Pipe()
		w.ending.Go(func() {
			buf := make([]byte, 4<<10)
			n, _ := far.Read(buf)
			asked = string(buf[:n])
			server, _ := w.dial(ctx, network, "")
			first := make([]byte, 4<<10)
			n, _ = server.Read(first) // a server that speaks first, with the proxy's answer
			fmt.Fprintf(far, "HTTP/1.1 102 soon\r\n\r\nHTTP/1.1 204 ok\r\n\r\n%s", first[:n])
			w.ending.Go(func() { io.Copy(server, far); server.Close() })
			io.Copy(far, server)
			far.Close()
		})
		return near, nil
	}
	inBubble(t, tr, echo, func(world *world) {
		w = world
		w.connect().Close()
		if want := "CONNECT server:80 HTTP/1.1\r\nHost: server:80\r\nUser-Agent: Go-http-client/1.1" + authorization + "\r\n\r\n"; asked != want {
			t.Errorf("%q, want %q", asked, want)
		}
	})
}

// What is wrong with the way to a proxy is an error of the dial, and a proxy that does not answer is waited for no longer
// than by whoever asks.
func TestProxyThatIsNotThere(t *testing.T) {
	via, _ := url.Parse("http://proxy")
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		dial func() (net.Conn, error)
		want string
	}{
		"no connection": {func() (net.Conn, error) { return nil, broken }, "proxyconnect tcp: broken"},
		"closed":        {func() (net.Conn, error) { near, far := net.Pipe(); far.Close(); return near, nil }, "h2: the shared connection was lost: unexpected EOF"},
		"silent": {func() (net.Conn, error) {
			near, far := net.Pipe()
			go io.Copy(io.Discard, far)
			return near, nil
		}, "context deadline exceeded"},
	} {
		tr := &Transport{Proxy: http.ProxyURL(via), DialContext: func(context.Context, string, string) (net.Conn, error) { return test.dial() }}
		inBubble(t, tr, nil, func(w *world) {
			ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
			defer cancel()
			_, err := w.handshake(ctx)
			if err == nil || err.Error() != test.want {
				t.Errorf("%s: %v", name, err)
			}
			var op *net.OpError
			if name == "no connection" && (!errors.As(err, &op) || op.Op != "proxyconnect" || !errors.Is(err, broken)) {
				t.Errorf("%#v", err)
			}
		})
	}
}

// queuedConn does not wait for its peer to read.
type queuedConn struct {
	net.Conn
	out chan<- []byte
}

func (c queuedConn) Write(p []byte) (int, error) { c.out <- bytes.Clone(p); return len(p), nil }

// A server that speaks TLS, and not HTTP/2 or not with a certificate that is trusted, says so.
func TestServersOfTLSWithoutHTTP2(t *testing.T) {
	certificate, pool := certificate(t)
	for name, test := range map[string]struct {
		protocols []string
		pool      *x509.CertPool
		want      string
	}{
		"no ALPN":     {nil, pool, "h2: the server chose no protocol by ALPN, so it speaks HTTP/1.1; switch on extended CONNECT"},
		"HTTP/1.1":    {[]string{"http/1.1"}, pool, `h2: the server chose "http/1.1" by ALPN, and not h2; switch on extended CONNECT`},
		"not trusted": {[]string{"h2"}, x509.NewCertPool(), "tls: failed to verify certificate: x509: certificate signed by unknown authority"},
	} {
		tr := &Transport{TLSClientConfig: &tls.Config{RootCAs: test.pool}}
		inBubble(t, tr, nil, func(w *world) {
			closed := make(chan struct{})
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
				near, far := net.Pipe()
				go func() {
					out := make(chan []byte, 100)
					go func() {
						for p := range out {
							far.Write(p)
						}
					}()
					defer close(out)
					server := tls.Server(queuedConn{far, out}, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: test.protocols})
					server.Handshake()
					io.Copy(io.Discard, far)
					close(closed)
				}()
				return near, nil
			}
			r, _ := http.NewRequest(http.MethodGet, "https://server.test/", nil)
			r.Header.Set("Upgrade", "websocket")
			if _, err := tr.RoundTrip(r); err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%s: %v", name, err)
			}
			<-closed // by the Transport
		})
	}
}

// blocksClose does not return from Close before the end of a test.
type blocksClose struct {
	net.Conn
	end <-chan struct{}
}

func (c blocksClose) Close() error {
	c.Conn.Close()
	<-c.end
	return nil
}

// Why there is no connection is known at once, though the net.Conn of a user can't be
// closed.
func TestRefusalOnAConnWhoseCloseBlocks(t *testing.T) {
	for address, expected := range map[string]string{"http://proxy": "403", "https://proxy": "TLS with the proxy"} {
		t.Run(address, func(t *testing.T) {
			via, _ := url.Parse(address)
			tr := &Transport{Proxy: http.ProxyURL(via)}
			inBubble(t, tr, nil, func(w *world) {
				end := make(chan struct{})
				defer close(end)
				tr.DialContext = func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					w.ending.Go(func() {
						defer far.Close()
						far.Read(make([]byte, 4<<10))
						fmt.Fprint(far, "HTTP/1.1 403 no\r\n\r\n")
					})
					return blocksClose{near, end}, nil
				}
				began := time.Now()
				ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
				defer cancel()
				if _, err := w.handshake(ctx); err == nil || !strings.Contains(err.Error(), expected) || time.Since(began) > 0 {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			})
		})
	}
}

// With a proxy that is spoken to over TLS it is HTTP/1.1 that is spoken, whatever the proxy and the user's
// TLSClientConfig would rather have.
func TestHTTPSProxy(t *testing.T) {
	certificate, pool := certificate(t)
	for _, secure := range []bool{true, false} {
		t.Run(fmt.Sprint("TLS ", secure), func(t *testing.T) {
			via, _ := url.Parse("https://ada:secret@server.test")
			var asked, protocol string
			var w *world
			tr := &Transport{Proxy: http.ProxyURL(via), TLSClientConfig: &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}}
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr != "server.test:443" {
					t.Errorf("it dials %s", addr)
				}
				near, raw := net.Pipe()
				w.ending.Go(func() {
					defer raw.Close()
					buf := make([]byte, 4<<10)
					if !secure {
						n, _ := raw.Read(buf)
						asked = string(buf[:n])
						fmt.Fprint(raw, "HTTP/1.1 400 no\r\n\r\n")
						io.Copy(io.Discard, raw) // until the Transport closes it
						return
					}
					far := tls.Server(raw, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}})
					n, _ := far.Read(buf)
					asked, protocol = string(buf[:n]), far.ConnectionState().NegotiatedProtocol
					server, _ := w.dial(ctx, network, "")
					fmt.Fprint(far, "HTTP/1.1 200 ok\r\n\r\n")
					w.ending.Go(func() { io.Copy(server, far); server.Close() })
					io.Copy(far, server)
				})
				return near, nil
			}
			inBubble(t, tr, echo, func(world *world) {
				w = world
				resp, err := w.handshake(w.Context())
				if !secure {
					if err == nil || !strings.HasPrefix(err.Error(), "h2: TLS with the proxy: ") || strings.Contains(asked, "CONNECT") {
						t.Errorf("%v, and the proxy was asked %q", err, asked)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if !strings.HasPrefix(asked, "CONNECT server:80 HTTP/1.1\r\n") || protocol != "http/1.1" {
					t.Errorf("in %q it asked %q", protocol, asked)
				}
			})
		})
	}
}

// What the user's functions return is checked, and their errors are passed on.
func TestFunctionsOfTheUserThatFail(t *testing.T) {
	broken := errors.New("broken")
	for name, tr := range map[string]*Transport{
		"Proxy":                      {Proxy: func(*http.Request) (*url.URL, error) { return nil, broken }},
		"DialContext":                {DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, broken }},
		"no connection and no error": {DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, nil }},
	} {
		inBubble(t, tr, nil, func(w *world) {
			_, err := w.handshake(w.Context())
			if name == "no connection and no error" {
				if err == nil || !strings.Contains(err.Error(), "h2: Transport.DialContext returned neither a connection nor an error") {
					t.Errorf("%s: %v", name, err)
				}
			} else if !errors.Is(err, broken) {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

// No proxy is taken for one of another kind.
func TestProxyOfAnotherKind(t *testing.T) {
	via, _ := url.Parse("ftp://ada:hunter2@proxy")
	tr := &Transport{Proxy: http.ProxyURL(via), DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("it dials")
	}}
	inBubble(t, tr, nil, func(w *world) {
		w.tr.DialContext = tr.DialContext
		if _, err := w.handshake(w.Context()); err == nil || !strings.Contains(err.Error(), `the scheme "ftp"; it must be http, https, socks5 or socks5h`) {
			t.Errorf("%v", err)
		}
	})
}

func TestSOCKSProxy(t *testing.T) {
	for _, row := range []struct {
		answer  byte
		network bool
	}{{0, false}, {1, false}, {2, false}, {3, true}, {4, true}, {5, true}, {6, true}, {7, false}} {
		t.Run(fmt.Sprint(row.answer), func(t *testing.T) {
			scheme := []string{"socks5", "socks5h"}[row.answer%2] // the proxy resolves the name with both
			via, _ := url.Parse(scheme + "://ada:secret@proxy")
			var asked []byte
			var w *world
			tr := &Transport{Proxy: http.ProxyURL(via)}
			tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if addr != "proxy:1080" {
					t.Errorf("it dials %s", addr)
				}
				near, far := net.Pipe()
				w.ending.Go(func() {
					defer far.Close()
					buf := make([]byte, 4<<10)
					far.Read(buf)
					far.Write([]byte{5, 2})
					n, _ := far.Read(buf)
					asked = append(asked, buf[:n]...)
					far.Write([]byte{1, 0})
					n, _ = far.Read(buf)
					asked = append(asked, buf[:n]...)
					far.Write([]byte{5, row.answer, 0, 1, 0, 0, 0, 0, 0, 0})
					if row.answer != 0 {
						return
					}
					server, _ := w.dial(ctx, network, "")
					w.ending.Go(func() { io.Copy(server, far); server.Close() })
					io.Copy(far, server)
				})
				return near, nil
			}
			inBubble(t, tr, echo, func(world *world) {
				w = world
				resp, err := w.handshake(w.Context())
				if err == nil {
					resp.Body.Close()
				}
				if (err == nil) != (row.answer == 0) || err != nil && handshake.IsNetworkError(err) != row.network {
					t.Errorf("%v", err)
				}
				if err != nil && !row.network && !strings.HasPrefix(err.Error(), "h2: the SOCKS5 proxy refused the connection: ") {
					t.Errorf("%v", err)
				}
				if want := "\x01\x03ada\x06secret\x05\x01\x00\x03\x06server\x00\x50"; string(asked) != want {
					t.Errorf("%q", asked)
				}
			})
		})
	}
}

func TestTLSConfigIsTheUsersAndStaysAsItIs(t *testing.T) {
	certificate, pool := certificate(t)
	for _, row := range []struct{ mine, offered []string }{
		{[]string{"x"}, []string{"h2", "x"}},
		{nil, []string{"h2", "http/1.1"}},
		{[]string{"http/1.1"}, []string{"h2", "http/1.1"}},
		{[]string{"x", "h2"}, []string{"x", "h2"}},
	} {
		var offered []string
		mine := &tls.Config{RootCAs: pool, NextProtos: row.mine}
		var w *world
		tr := &Transport{TLSClientConfig: mine}
		tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != "server.test:443" {
				t.Errorf("it dials %s", addr)
			}
			near, far := net.Pipe()
			w.ending.Go(func() {
				server := tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"},
					GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
						offered = hello.SupportedProtos
						return nil, nil
					}})
				p := newPeer(t, server, 1)
				w.ending.Go(p.collect)
				echo(p)
				server.Close()
			})
			return near, nil
		}
		inBubble(t, tr, nil, func(world *world) {
			w = world
			r, _ := http.NewRequest(http.MethodGet, "https://server.test/", nil)
			r.Header.Set("Upgrade", "websocket")
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		})
		if fmt.Sprint(offered) != fmt.Sprint(row.offered) || fmt.Sprint(mine.NextProtos) != fmt.Sprint(row.mine) || mine.ServerName != "" {
			t.Errorf("%v was offered; the config has %v and %q", offered, mine.NextProtos, mine.ServerName)
		}
	}
}
