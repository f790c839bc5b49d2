package wsnotifytest

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

func newPipe(t *testing.T, cfg linkConfig) (a, b *pipeConn) {
	l := newLink(cfg)
	for _, e := range l.ends {
		e.local, e.remote = &net.TCPAddr{}, &net.TCPAddr{}
		t.Cleanup(func() { _ = e.Close() })
	}
	return l.ends[0], l.ends[1]
}

func inTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error is %v, want %v", got, want)
	}
}

func TestPipeDrainsThenEOF(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{})
		if _, err := a.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		_ = a.Close()
		if got, err := io.ReadAll(b); string(got) != "hello" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if _, err := b.Write([]byte("x")); err != nil {
			t.Errorf("the first write after a FIN: %v", err)
		}
		_, err := b.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
		_, err = a.Write(nil)
		wantErr(t, err, net.ErrClosed)
		wantErr(t, a.Close(), net.ErrClosed)
	})
}

// A Read into nothing says how the connection is, and waits for nothing.
func TestPipeReadsIntoNothing(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{})
		for range 2 {
			if n, err := a.Read(nil); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			_, _ = b.Write([]byte("x"))
		}
		_ = a.SetReadDeadline(time.Now())
		_, err := a.Read(nil)
		wantErr(t, err, os.ErrDeadlineExceeded)
		_ = a.Close()
		_, err = a.Read(nil)
		wantErr(t, err, net.ErrClosed)
		wantErr(t, a.CloseWrite(), net.ErrClosed)
	})
}

func TestPipeHalfClose(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{})
		_ = a.CloseWrite()
		_, err := b.Read(make([]byte, 1))
		wantErr(t, err, io.EOF)
		for range 3 {
			if _, err := b.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := io.ReadFull(a, make([]byte, 3)); err != nil {
			t.Error(err)
		}
		_, err = a.Write([]byte("x"))
		wantErr(t, err, syscall.EPIPE)
	})
}

func TestPipeResetLosesWhatWasUnread(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{})
		_, _ = a.Write([]byte("lost"))
		_, _ = b.Write([]byte("lost"))
		_ = a.Reset()
		_, err := b.Read(make([]byte, 1))
		wantErr(t, err, syscall.ECONNRESET)
		_, err = b.Write([]byte("x"))
		wantErr(t, err, syscall.ECONNRESET)
		_, err = a.Read(make([]byte, 1))
		wantErr(t, err, net.ErrClosed)
	})
}

func TestPipeCloseWakesOwnReadersAndWriters(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, _ := newPipe(t, linkConfig{buffer: 10})
		errs := make(chan error, 3)
		go func() { _, err := a.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 11)); errs <- err }()
		go func() { _, err := a.Write(make([]byte, 11)); errs <- err }()
		synctest.Wait()
		_ = a.Close()
		for range 3 {
			wantErr(t, <-errs, net.ErrClosed)
		}
	})
}

func TestPipeCloseWakesABlockedWriterOfThePeer(t *testing.T) {
	for _, cfg := range []linkConfig{{buffer: 10}, {buffer: 10, latency: time.Second}} {
		inTime(t, func(t *testing.T) {
			a, b := newPipe(t, cfg)
			time.AfterFunc(time.Minute, func() { _ = b.Close() })
			testkit.Took(t, time.Minute+cfg.latency, func() {
				n, err := a.Write(make([]byte, 11))
				wantErr(t, err, syscall.EPIPE)
				if n != 10 {
					t.Error(n)
				}
			})
		})
	}
}

func TestPipeDeadlines(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{buffer: 10})
		_ = a.SetReadDeadline(time.Now().Add(time.Second))
		testkit.Took(t, time.Second, func() {
			_, err := a.Read(make([]byte, 1))
			wantErr(t, err, os.ErrDeadlineExceeded)
			if ne := net.Error(nil); !errors.As(err, &ne) || !ne.Timeout() {
				t.Error("not a timeout")
			}
		})
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		testkit.Took(t, time.Second, func() {
			n, err := a.Write(make([]byte, 30))
			wantErr(t, err, os.ErrDeadlineExceeded)
			if n != 10 {
				t.Error(n)
			}
		})
		_ = a.SetDeadline(time.Time{})
		go func() { time.Sleep(time.Hour); _, _ = b.Write([]byte("x")) }()
		testkit.Took(t, time.Hour, func() {
			if _, err := a.Read(make([]byte, 1)); err != nil {
				t.Error(err)
			}
		})
		time.AfterFunc(time.Second, func() { _ = a.SetDeadline(time.Unix(1, 0)) })
		testkit.Took(t, time.Second, func() {
			_, err := a.Read(make([]byte, 1))
			wantErr(t, err, os.ErrDeadlineExceeded)
		})
		_ = a.Close()
		wantErr(t, a.SetDeadline(time.Time{}), net.ErrClosed)
	})
}

func TestPipeLatency(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{latency: 100 * time.Millisecond})
		testkit.Took(t, 0, func() { _, _ = a.Write([]byte("one")) })
		testkit.Took(t, 100*time.Millisecond, func() { _, _ = b.Read(make([]byte, 3)) })
		_, _ = a.Write([]byte("two"))
		_ = a.Close()
		testkit.Took(t, 100*time.Millisecond, func() {
			if got, err := io.ReadAll(b); string(got) != "two" || err != nil {
				t.Errorf("%q %v", got, err)
			}
		})
	})
}

func TestPipeBandwidth(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{bytesPerSec: 14600, latency: time.Second})
		testkit.Took(t, 0, func() { _, _ = a.Write(make([]byte, 14600)) })
		testkit.Took(t, 1100*time.Millisecond, func() { _, _ = b.Read(make([]byte, 20000)) })
		testkit.Took(t, 900*time.Millisecond, func() { _, _ = io.ReadFull(b, make([]byte, 14600-1460)) })
	})
}

func TestPipeBlackHoleHoldsEverything(t *testing.T) {
	inTime(t, func(t *testing.T) {
		a, b := newPipe(t, linkConfig{buffer: 10, latency: time.Second})
		a.l.setHole(true)
		testkit.Took(t, 0, func() {
			if _, err := a.Write(make([]byte, 10)); err != nil {
				t.Error(err)
			}
		})
		_ = a.SetWriteDeadline(time.Now().Add(time.Hour))
		testkit.Took(t, time.Hour, func() {
			_, err := a.Write([]byte{0})
			wantErr(t, err, os.ErrDeadlineExceeded)
		})
		_ = a.Close()
		_ = b.SetReadDeadline(time.Now().Add(time.Hour))
		_, err := b.Read(make([]byte, 1))
		wantErr(t, err, os.ErrDeadlineExceeded)
		_ = b.SetReadDeadline(time.Time{})
		a.l.setHole(false)
		testkit.Took(t, time.Second, func() {
			if got, err := io.ReadAll(b); len(got) != 10 || err != nil {
				t.Error(got, err)
			}
		})
	})
}

// Whatever the link, the sizes and the pauses: what is read is what was written, in order.
func TestPipeKeepsTheStream(t *testing.T) {
	for seed := range uint64(30) {
		inTime(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			cfg := linkConfig{buffer: 1 + rnd.IntN(5000)}
			if rnd.IntN(2) == 0 {
				cfg.latency = time.Duration(rnd.IntN(1000)) * time.Millisecond
			}
			if rnd.IntN(2) == 0 {
				cfg.bytesPerSec = 1 + rnd.IntN(1_000_000)
			}
			a, b := newPipe(t, cfg)
			sent := make([]byte, 20_000)
			for i := range sent {
				sent[i] = byte(rnd.Uint32())
			}
			writes, holes := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			go func() {
				for p := sent; len(p) > 0; {
					n := min(len(p), 1+writes.IntN(3000))
					if _, err := a.Write(p[:n]); err != nil {
						t.Error(err)
					}
					p = p[n:]
					time.Sleep(time.Duration(writes.IntN(3)) * time.Millisecond)
				}
				_ = a.Close()
			}()
			var holing sync.WaitGroup
			defer holing.Wait()
			holing.Go(func() {
				for range 5 {
					time.Sleep(time.Duration(holes.IntN(20)) * time.Millisecond)
					a.l.setHole(true)
					time.Sleep(time.Duration(holes.IntN(20)) * time.Millisecond)
					a.l.setHole(false)
				}
			})
			if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("seed %d: got %d bytes, %v", seed, len(got), err)
			}
		})
	}
}
