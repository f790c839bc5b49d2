package edges

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/testkit"
)

// Servers that sign or compare the Host field know that of a browser.
func TestHostIsWithoutDefaultPortAndCapitals(t *testing.T) {
	cert, pool := testkit.CertificateOfNow(t, "example.test", "127.0.0.1")
	for url, want := range map[string]string{
		"ws://example.test:80/ws/":   "example.test",
		"ws://example.test:8080/ws/": "example.test:8080",
		"ws://EXAMPLE.test/ws/":      "example.test",
		"ws://bücher.test/ws/":       "xn--bcher-kva.test",
		"ws://[::1]:80/ws/":          "[::1]",
		"wss://example.test:443/ws/": "example.test",
		"wss://EXAMPLE.test/ws/":     "example.test",
	} {
		t.Run(url, func(t *testing.T) {
			config, trusting := server(cert), client(pool)
			if !strings.HasPrefix(url, "wss:") {
				config, trusting = nil, nil
			}
			hosts := make(chan string, 1)
			addr := serve(t, listen(t, config), func(p *peer) {
				hosts <- p.request.Host
				p.accept()
				p.drain()
			})
			open(t, wsnotify.Config{HTTPClient: dialling(addr, trusting)}, url)
			if got := receive(t, "Host", hosts); got != want {
				t.Errorf("Host is %q, and a browser sends %q", got, want)
			}
		})
	}
}

// A field that leaves twice, once in small letters, is a bad request to many.
func TestHeaderNamesInSmallLettersLeaveOnce(t *testing.T) {
	for name, value := range map[string]string{"host": "virtual.test", "user-agent": "ours/1", "authorization": "Bearer x", "cookie": "a=b"} {
		t.Run(name, func(t *testing.T) {
			heads := make(chan string, 1)
			addr := serve(t, listen(t, nil), func(p *peer) {
				heads <- p.head
				p.accept()
				p.drain()
			})
			open(t, wsnotify.Config{Header: http.Header{name: {value}}}, "ws://"+addr+"/")
			head := receive(t, "request", heads)
			if n := strings.Count(strings.ToLower(head), "\r\n"+name+": "); n != 1 || !strings.Contains(head, ": "+value+"\r\n") {
				t.Errorf("%s leaves %d times:\n%s", name, n, head)
			}
		})
	}
}

// net/http's own server is one that answers 400 to a second Host.
func TestSmallHostAgainstNetHTTP(t *testing.T) {
	listen(t, nil) // or there are no sockets
	hosts := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hosts <- r.Host
		if c, err := websocket.Accept(w, r, nil); err == nil {
			c.Read(r.Context())
		}
	}))
	defer srv.Close()
	c := wsnotify.New(wsnotify.Config{BackOff: retries(0), Header: http.Header{"host": {"virtual.test"}}})
	if err := c.Connect(t.Context(), srv.URL, ""); err != nil {
		t.Fatal(err)
	}
	c.Disconnect()
	<-c.Done()
	if got := receive(t, "Host", hosts); got != "virtual.test" {
		t.Errorf("Host is %q", got)
	}
}

// Some servers accept everybody, read the login and close with 1008.
func TestLoginThatIsRefusedByCloseCode(t *testing.T) {
	addr := serve(t, listen(t, nil), func(p *peer) {
		p.accept()
		if opcode, text, err := p.next(); err != nil || opcode != opText || text != "login" {
			return
		}
		p.write(frame(opClose, closePayload(1008, "bad key")))
		p.next()
	})
	gaveUp := make(chan *wsnotify.GiveUpError, 1)
	err := connect(t, wsnotify.Config{
		BackOff: retries(50), ShouldReconnect: wsnotify.FailFast,
		OnGiveUp: func(e *wsnotify.GiveUpError) { gaveUp <- e },
		OnHandshake: func(ctx context.Context, h *wsnotify.Handshake) error {
			if err := h.SendMessage(ctx, "login"); err != nil {
				return err
			}
			_, err := h.Receive(ctx)
			return err
		},
	}, "ws://"+addr+"/")
	if err == nil {
		t.Fatal("it opened")
	}
	e := receive(t, "OnGiveUp", gaveUp)
	if f := e.Failure; e.Attempts != 1 || f.Code != 1008 || f.Reason != "bad key" || f.Phase != wsnotify.PhaseHook {
		t.Errorf("after %d attempts: %+v", e.Attempts, f)
	}
}
