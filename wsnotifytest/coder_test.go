//go:build !js

package wsnotifytest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// everywhere runs f against each kind of server: in memory and virtual time, and on loopback, with
// TLS and without.
func everywhere(t *testing.T, f func(t *testing.T, s *wsnotifytest.Server)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, wsnotifytest.NewNetwork(t).NewServer()) })
	})
	t.Run("memory TLS", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { f(t, wsnotifytest.NewNetwork(t).NewTLSServer()) })
	})
	t.Run("loopback", func(t *testing.T) { t.Parallel(); f(t, wsnotifytest.NewServer(t)) })
	t.Run("loopback TLS", func(t *testing.T) { t.Parallel(); f(t, wsnotifytest.NewTLSServer(t)) })
}

func virtual(s *wsnotifytest.Server) bool { return strings.Contains(s.Addr(), ".test") }

func dial(t *testing.T, s *wsnotifytest.Server, user string) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), s.URL()+user, &websocket.DialOptions{HTTPClient: s.HTTPClient()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func newest(t *testing.T, s *wsnotifytest.Server, user string) *wsnotifytest.Conn {
	t.Helper()
	c, err := s.Conn(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMessagesBothWays(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		ctx := t.Context()
		c := dial(t, s, "ada%2Flovelace")
		c.SetReadLimit(-1)
		const user = "ada/lovelace"
		for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536, 200_000} {
			text := strings.Repeat("x", n)
			if err := c.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			go func() { _ = s.SendText(user, text) }()
			if typ, got, err := c.Read(ctx); err != nil || typ != websocket.MessageText || string(got) != text {
				t.Fatalf("read %d bytes of %v, %v; want %d", len(got), typ, err, n)
			}
		}
		got, err := s.WaitMessages(ctx, user, 8)
		if err != nil || len(got) != 8 || len(got[7]) != 200_000 {
			t.Fatalf("the server got %d messages, %v", len(got), err)
		}
		if err := s.SendBinary(user, []byte{0, 255}); err != nil {
			t.Fatal(err)
		}
		if typ, b, err := c.Read(ctx); typ != websocket.MessageBinary || !bytes.Equal(b, []byte{0, 255}) {
			t.Fatal(typ, b, err)
		}
		if err := s.Notify(user, "mail", map[string]int{"unread": 3}); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(ctx); string(b) != `{"msgType":"mail","content":{"unread":3}}` {
			t.Fatalf("%s %v", b, err)
		}
		w, err := c.Writer(ctx, websocket.MessageBinary)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"in ", "three ", "parts"} {
			if _, err := io.WriteString(w, part); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := s.WaitMessages(ctx, user, 9); err != nil || got[8] != "in three parts" {
			t.Fatal(got[8], err)
		}
		if err := c.Close(4001, "enough"); err != nil {
			t.Fatal(err)
		}
		if err := s.WaitLive(ctx, 0); err != nil {
			t.Fatal(err)
		}
		if got := s.CloseCodes(); !slices.Equal(got, []int{4001}) {
			t.Error(got)
		}
		if err := s.SendText(user, "late"); !errors.Is(err, wsnotifytest.ErrNoConn) {
			t.Error(err)
		}
	})
}

func TestHeartbeatsAreAnsweredAndCounted(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		ctx := t.Context()
		s.AnswerText("pong")
		c := dial(t, s, "ada")
		read := make(chan string)
		go func() {
			defer close(read)
			for {
				_, b, err := c.Read(context.Background())
				if err != nil {
					return
				}
				read <- string(b)
			}
		}()
		for range 3 {
			if err := c.Ping(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Write(ctx, websocket.MessageText, []byte("ping")); err != nil {
			t.Fatal(err)
		}
		if got := <-read; got != "pong" {
			t.Error(got)
		}
		newest(t, s, "ada").Drop()
		<-read
		if texts, pings := s.Heartbeats("ada"); texts != 1 || pings != 3 || len(s.Messages("ada")) != 0 {
			t.Error(texts, pings, s.Messages("ada"))
		}
	})
}

func TestServerCloses(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		sc := newest(t, s, "ada")
		if err := sc.Close(1012, "restart"); err != nil {
			t.Fatal(err)
		}
		_, _, err := c.Read(t.Context())
		if ce := (websocket.CloseError{}); !errors.As(err, &ce) || ce.Code != 1012 || ce.Reason != "restart" {
			t.Error(err)
		}
		<-sc.Done()
		if got := sc.CloseCode(); got != 1012 {
			t.Error(got)
		}
	})
}

func TestDropIsEOFAndResetIsReset(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c := dial(t, s, "ada")
		sc := newest(t, s, "ada")
		if err := sc.SendText("last words"); err != nil {
			t.Fatal(err)
		}
		sc.Drop()
		if _, b, err := c.Read(t.Context()); string(b) != "last words" {
			t.Error(string(b), err)
		}
		if _, _, err := c.Read(t.Context()); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
		if got := sc.CloseCode(); got != 1006 {
			t.Error(got)
		}
		c = dial(t, s, "bob")
		newest(t, s, "bob").Reset()
		if _, _, err := c.Read(t.Context()); !isErrno(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestHandshakeRefused(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		s.Refuse(1, 503, http.Header{"Retry-After": {"7"}}, "busy")
		s.RefuseRaw(1, "SSH-2.0-OpenSSH_9.9\r\n")
		wrongKey := "c 101"
		if virtual(s) {
			s.WrongKey(1)
		} else { // coder/websocket takes three seconds to close the connection that stays open
			s.RefuseRaw(1, "HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n")
			wrongKey = "c 0"
		}
		s.Refuse(-1, 401, nil, "")
		try := func(user string) (*http.Response, error) {
			c, resp, err := websocket.Dial(t.Context(), s.URL()+user,
				&websocket.DialOptions{HTTPClient: s.HTTPClient(), Subprotocols: []string{"v2", "v1"}})
			if err == nil {
				_ = c.CloseNow()
			}
			return resp, err
		}
		resp, err := try("a")
		if err == nil || resp.StatusCode != 503 || resp.Header.Get("Retry-After") != "7" {
			t.Fatal(resp, err)
		}
		if b, _ := io.ReadAll(resp.Body); string(b) != "busy" {
			t.Errorf("body %q", b)
		}
		if _, err := try("b"); err == nil || !strings.Contains(err.Error(), "malformed HTTP") {
			t.Error(err)
		}
		if _, err := try("c"); err == nil || !strings.Contains(err.Error(), "Sec-WebSocket-Accept") {
			t.Error(err)
		}
		for range 3 {
			if resp, err := try("d"); err == nil || resp.StatusCode != 401 {
				t.Error(resp, err)
			}
		}
		s.Refuse(0, 0, nil, "")
		s.OnHandshake(func(r *http.Request) (int, http.Header) {
			if r.URL.Path == "/ws/eve" {
				return 403, nil
			}
			return 0, http.Header{"X-Seen": {r.URL.RawQuery}}
		})
		s.Subprotocols("v1")
		if resp, err := try("eve"); err == nil || resp.StatusCode != 403 {
			t.Error(resp, err)
		}
		resp, err = try("x?user=eva&token=1")
		if err != nil || resp.Header.Get("X-Seen") != "user=eva&token=1" || resp.Header.Get("Sec-WebSocket-Protocol") != "v1" {
			t.Error(resp, err)
		}
		var seen []string
		for _, h := range s.Handshakes() {
			seen = append(seen, fmt.Sprintf("%s %d", h.User, h.Status))
		}
		want := []string{"a 503", "b 0", wrongKey, "d 401", "d 401", "d 401", "eve 403", "eva 101"}
		if !slices.Equal(seen, want) {
			t.Errorf("handshakes\n%q, want\n%q", seen, want)
		}
		if s.Total() != 1 {
			t.Error(s.Total())
		}
	})
}
