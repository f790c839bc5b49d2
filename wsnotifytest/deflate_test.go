//go:build !js

package wsnotifytest_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestCompression(t *testing.T) {
	for name, mode := range map[string]websocket.CompressionMode{
		"context takeover": websocket.CompressionContextTakeover, "no context takeover": websocket.CompressionNoContextTakeover,
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
				s.Compress(true)
				s.Echo()
				c, resp, err := websocket.Dial(t.Context(), s.URL()+"ada", &websocket.DialOptions{
					HTTPClient: s.HTTPClient(), CompressionMode: mode, CompressionThreshold: 1})
				if err != nil {
					t.Fatal(err)
				}
				defer c.CloseNow()
				c.SetReadLimit(-1)
				if got := resp.Header.Get("Sec-WebSocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
					t.Fatalf("extensions %q", got)
				}
				for _, n := range []int{0, 1, 1000, 100_000, 10} {
					text := strings.Repeat("all work and no play ", n)[:n]
					if err := c.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
						t.Fatal(err)
					}
					if _, b, err := c.Read(t.Context()); err != nil || string(b) != text {
						t.Fatalf("%d bytes came back as %d: %v", n, len(b), err)
					}
				}
				_ = newest(t, s, "ada").WriteFrame(true, wsnotifytest.OpText, []byte("plain"))
				if _, b, err := c.Read(t.Context()); string(b) != "plain" {
					t.Error(string(b), err)
				}
			})
		})
	}
}

// Unless it is told to, the server agrees to no extension, and says so by saying nothing.
func TestCompressionIsDeclined(t *testing.T) {
	everywhere(t, func(t *testing.T, s *wsnotifytest.Server) {
		c, resp, err := websocket.Dial(context.Background(), s.URL()+"ada", &websocket.DialOptions{
			HTTPClient: s.HTTPClient(), CompressionMode: websocket.CompressionContextTakeover, CompressionThreshold: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
			t.Errorf("agreed to %q", got)
		}
		say(t, c, "plain")
		if got, err := s.WaitMessages(t.Context(), "ada", 1); err != nil || got[0] != "plain" {
			t.Error(got, err)
		}
	})
}

// Offers that can't be kept are passed over, and what can't be inflated is a violation.
func TestOffersAndGarbage(t *testing.T) {
	for offer, want := range map[string]string{
		"permessage-deflate; server_max_window_bits=10":                                       "permessage-deflate; server_max_window_bits=10",
		"permessage-deflate; server_max_window_bits=7, permessage-deflate":                    "permessage-deflate",
		"permessage-deflate; client_max_window_bits":                                          "permessage-deflate",
		"x-webkit-deflate-frame":                                                              "",
		"permessage-deflate; unknown":                                                         "",
		"permessage-deflate; server_no_context_takeover; client_no_context_takeover":          "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits=9, mux; max=4": "permessage-deflate; client_max_window_bits=9; server_max_window_bits=15",
	} {
		inMemory(t, func(t *testing.T, n *wsnotifytest.Network, s *wsnotifytest.Server) {
			s.AllowViolations()
			s.Compress(true)
			c, br, head := rawDialWith(t, n, s, "Sec-WebSocket-Extensions: "+offer+"\r\n")
			got := ""
			if _, rest, ok := strings.Cut(head, "Sec-WebSocket-Extensions: "); ok {
				got, _, _ = strings.Cut(rest, "\r\n")
			}
			if got != want {
				t.Errorf("%q is answered with %q, want %q", offer, got, want)
			}
			_, _ = io.WriteString(c, masked(0xC1, "\xff\xff"))
			_, _ = io.ReadAll(br)
			complaint := "can't be inflated"
			if want == "" {
				complaint = "reserved bits 100"
			}
			if v := s.Violations(); len(v) != 1 || !strings.Contains(v[0], complaint) {
				t.Error(v)
			}
		})
	}
}
