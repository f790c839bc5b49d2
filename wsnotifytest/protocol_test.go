//go:build !js

package wsnotifytest_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// rawDial makes a handshake and hands over the bare connection.
func rawDial(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, br, _ := rawDialWith(t, n, s, "")
	return c, br
}

// rawDialWith adds headers to the request, and returns the response's head too.
func rawDialWith(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server, header string) (net.Conn, *bufio.Reader, string) {
	t.Helper()
	c, err := n.DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, err = io.WriteString(c, "GET /ws/raw HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+header+"\r\n")
	if err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(c)
	head := ""
	for !strings.HasSuffix(head, "\r\n\r\n") {
		line, err := br.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		head += line
	}
	// The accept key of RFC 6455, section 1.3.
	if !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
		t.Fatal(head)
	}
	return c, br, head
}

// masked is a frame as a client sends it, with a mask of zeros.
func masked(b0 byte, payload string) string {
	return string([]byte{b0, 0x80 | byte(len(payload)), 0, 0, 0, 0}) + payload
}

func TestViolationsAreReported(t *testing.T) {
	tests := []struct{ name, bytes, want string }{
		{"no mask", "\x81\x01x", "without a mask"},
		{"reserved bit", masked(0xC1, "x"), "reserved bits 100"},
		{"opcode", masked(0x83, "x"), "unknown opcode 0x3"},
		{"fragmented ping", masked(0x09, "x"), "fragmented control"},
		{"long ping", "\x89\xFE\x00\x7E\x00\x00\x00\x00" + strings.Repeat("x", 126), "more than 125"},
		{"continuation", masked(0x80, "x"), "continuation of nothing"},
		{"interleaved", masked(0x01, "x") + masked(0x81, "y"), "within a fragmented one"},
		{"length", "\x81\xFE\x00\x01\x00\x00\x00\x00x", "minimally"},
		{"long length", "\x81\xFF\x00\x00\x00\x00\x00\x00\xFF\xFF\x00\x00\x00\x00x", "minimally"},
		{"huge", "\x81\xFF\x7F\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", "frame of 9151314442816847872 bytes"},
		{"UTF-8", masked(0x81, "\xff"), "not UTF-8"},
		{"close code", masked(0x88, "\x03\xED"), "close code 1005"},
		{"close body", masked(0x88, "x"), "one byte"},
		{"close reason", masked(0x88, "\x03\xE8\xff"), "not UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &testkit.Recorder{TB: t}
				n := wsnotifytest.NewNetwork(r)
				s := n.NewServer()
				c, br := rawDial(t, n, s)
				if _, err := io.WriteString(c, tt.bytes); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(br)
				if err != nil || !bytes.HasPrefix(got[2:], []byte("\x03\xEA")) {
					t.Errorf("%q %v, want close code 1002", got, err)
				}
				_ = c.Close()
				wantErrors(t, r.End(), tt.want)
			})
		})
	}
}

// A connection that ends within a frame has broken no rule, wherever that is.
func TestConnectionsThatEndWithinAFrame(t *testing.T) {
	const frame = "\x82\xFE\x00\x7E\x00\x00\x00\x00" // and 126 bytes
	for n := range len(frame) + 2 {
		inMemory(t, func(t *testing.T, net *wsnotifytest.Network, s *wsnotifytest.Server) {
			c, _ := rawDial(t, net, s)
			_, _ = io.WriteString(c, (frame + "xx")[:n])
			_ = c.Close()
			if err := s.WaitLive(t.Context(), 0); err != nil || s.Violations() != nil || len(s.CloseCodes()) != 0 {
				t.Errorf("behind %d bytes: %v, %v, %v", n, err, s.Violations(), s.CloseCodes())
			}
		})
	}
}

func TestSecondCloseFrameIsAViolation(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		s.AllowViolations()
		s.AnswerClose(false)
		c, br := rawDial(t, n, s)
		_, _ = io.WriteString(c, masked(0x88, "\x03\xE8")+masked(0x88, "\x03\xE8"))
		_, _ = io.ReadAll(br)
		if got := s.Violations(); len(got) != 1 || !strings.Contains(got[0], "a second close frame") {
			t.Error(got)
		}
	})
}

func TestAllowedViolationsAreListed(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		s.AllowViolations()
		s.AnswerClose(false)
		c, br := rawDial(t, n, s)
		_, _ = io.WriteString(c, masked(0x88, "")+masked(0x89, "fine")+masked(0x81, "not fine"))
		_, _ = io.ReadAll(br)
		if got := s.Violations(); len(got) != 1 || !strings.Contains(got[0], "data after a close frame") {
			t.Error(got)
		}
		if got := s.CloseCodes(); !slices.Equal(got, []int{1005}) {
			t.Error(got)
		}
	})
}

// A frame is one write, and what WriteRaw gets leaves as it is.
func TestFramesToTheClient(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		sc := newest(t, s, "ada")
		var b []byte
		b = wsnotifytest.AppendFrame(b, false, wsnotifytest.OpText, []byte("in "))
		b = wsnotifytest.AppendFrame(b, true, wsnotifytest.OpPing, nil)
		b = wsnotifytest.AppendFrame(b, true, wsnotifytest.OpContinuation, []byte("two"))
		b = append(b, 0x81, 10, 'h', 'a', 'l', 'f')
		if err := sc.WriteRaw(b); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(t.Context()); string(got) != "in two" {
			t.Error(string(got), err)
		}
		sc.Drop()
		if _, got, err := c.Read(t.Context()); err == nil {
			t.Error(string(got))
		}
		if err := sc.SendText("late"); !errors.Is(err, wsnotifytest.ErrConnClosed) {
			t.Error(err)
		}
	})
}

func TestClosingHandshakes(t *testing.T) {
	t.Run("never answered", func(t *testing.T) {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
			s.AnswerClose(false)
			c, br := rawDial(t, n, s)
			_, _ = io.WriteString(c, masked(0x88, "\x03\xE8"))
			_ = c.SetReadDeadline(time.Now().Add(time.Hour))
			if b, err := br.ReadByte(); err == nil || errors.Is(err, io.EOF) {
				t.Error(b, err)
			}
			if got := newestCode(s); got != 1000 {
				t.Error(got)
			}
		})
	})
	t.Run("server began and waits", func(t *testing.T) {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
			s.AllowViolations()
			rawDial(t, n, s)
			start := time.Now()
			sc := newest(t, s, "raw")
			if err := sc.Close(1001, ""); err != nil {
				t.Fatal(err)
			}
			<-sc.Done()
			if sc.CloseCode() != 1006 || time.Since(start) != 5*time.Second {
				t.Error(sc.CloseCode(), time.Since(start))
			}
		})
	})
	t.Run("server stays", func(t *testing.T) {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
			c, br := rawDial(t, n, s)
			sc := newest(t, s, "raw")
			if err := sc.CloseFrame(1001, ""); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, masked(0x88, "\x03\xE9"))
			_ = c.SetReadDeadline(time.Now().Add(time.Hour))
			got, err := io.ReadAll(br)
			if string(got) != "\x88\x02\x03\xE9" || err == nil {
				t.Errorf("%q %v, want one close frame and a timeout", got, err)
			}
			if err := sc.Close(1000, ""); err != nil {
				t.Error(err)
			}
			<-sc.Done()
		})
	})
}

func newestCode(s *wsnotifytest.Server) int { return s.LiveConns()[0].CloseCode() }

// Pongs that nobody reads do not keep the server from reading.
func TestPongsToADeafClient(t *testing.T) {
	inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
		n.Buffer(1000)
		c, _ := rawDial(t, n, s)
		for range 1000 {
			if _, err := io.WriteString(c, masked(0x89, strings.Repeat("x", 100))); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if _, pings := s.Heartbeats("raw"); pings != 1000 {
			t.Error(pings)
		}
	})
}

// So many pings without an answer are remembered, and no more.
func TestPingsThatNobodyAnswers(t *testing.T) {
	for answer, want := range map[string][]string{"p1": nil, "p256": nil, "p0": {`ping "p1" was answered with pong "p0", expected the same payload (section 5.5.3)`}} {
		synctest.Test(t, func(t *testing.T) {
			r := &testkit.Recorder{TB: t}
			n := wsnotifytest.NewNetwork(r)
			s := n.NewServer()
			c, _ := rawDial(t, n, s)
			conn := newest(t, s, "raw")
			for i := range 257 {
				if err := conn.Ping(fmt.Sprint("p", i)); err != nil {
					t.Fatal(err)
				}
			}
			_, _ = io.WriteString(c, masked(0x8A, answer))
			synctest.Wait()
			if got := conn.Pongs(); len(got) != 1 || got[0] != answer {
				t.Errorf("the pongs are %q", got)
			}
			_ = c.Close()
			<-conn.Done()
			wantErrors(t, r.End(), want...)
		})
	}
}

// A client that reads nothing gets no answers once the buffers are full; the end is then one without a close frame.
func TestAnswersThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &testkit.Recorder{TB: t}
		n := wsnotifytest.NewNetwork(r)
		n.Buffer(1000)
		s := n.NewServer()
		c, br := rawDial(t, n, s)
		conn := newest(t, s, "raw")
		for range 100 {
			_, _ = io.WriteString(c, masked(0x89, strings.Repeat("p", 100)))
			synctest.Wait()
		}
		_, _ = io.WriteString(c, masked(0x88, "\x03\xe8"))
		<-conn.Done()
		text, err := io.ReadAll(br)
		if pongs := strings.Count(string(text), "\x8a\x64"); err != nil || pongs == 0 || pongs == 100 || strings.Contains(string(text), "\x88\x02") || conn.CloseCode() != 1000 {
			t.Errorf("%d pongs came, then %d bytes, %v", pongs, len(text), err)
		}
		_ = c.Close()
		wantErrors(t, r.End())
	})
}
