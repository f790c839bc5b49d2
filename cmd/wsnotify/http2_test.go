package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// serveHTTP2 is a server of WebSockets over HTTP/2 for another process, since
// net/http has them only if GODEBUG says so when a process begins. It sends one
// message to each, with how it came.
func serveHTTP2() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.Write(wsnotifytest.AppendFrame(nil, true, 1, fmt.Appendf(nil, "%s %s %s", r.Method, r.Header.Get(":protocol"), r.URL.Path)))
		http.NewResponseController(w).Flush()
		io.Copy(io.Discard, r.Body)
	})}
	server.Protocols.SetUnencryptedHTTP2(true)
	fmt.Println(l.Addr())
	go server.Serve(l)
	io.Copy(io.Discard, os.Stdin)
}

func TestHTTP2(t *testing.T) {
	server := exec.Command(os.Args[0])
	server.Env = append(os.Environ(), "WSNOTIFY_TEST_HTTP2=1", "GODEBUG=http2xconnect=1")
	in, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); server.Wait() }()
	addr, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	c := start(t, strings.NewReader(""), "connect", "--http2", "-1", "-v", "ws://"+strings.TrimSpace(addr)+"/ws/")
	c.wants(t, exitOK)
	if says := c.err.String(); !strings.Contains(says, "> CONNECT /ws/ HTTP/2\nwsnotify: > :protocol: websocket\n") ||
		!strings.Contains(says, "< HTTP/2 200 OK\n") || strings.Contains(says, "Upgrade") || strings.Contains(says, "HTTP/1.1") {
		t.Errorf("it said %s", says)
	}
	if got := c.out.String(); got != "CONNECT websocket /ws/\n" {
		t.Errorf("it printed %q", got)
	}
}

func TestHTTP2ThatTheServerLacks(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	url := strings.Replace(server.URL, "https", "wss", 1)
	c := start(t, nil, "listen", "--http2", "-k", "--attempts", "0", url)
	if code := next(t, c.code); code == exitOK || !strings.Contains(c.err.String(), "RFC 8441") || !strings.Contains(c.err.String(), "leave out --http2") {
		t.Errorf("it ends with %d: %s", code, &c.err)
	}
	server.Close() // and what is said of other failures stays what it is
	c = start(t, nil, "listen", "--http2", "-k", "--attempts", "0", url)
	c.wants(t, exitGaveUp)
	if want := "wsnotify: warning: the server's certificate is not verified\nwsnotify: no connection: connection refused; nothing listens at " + server.Listener.Addr().String() + "\n"; c.err.String() != want {
		t.Errorf("it said %q and not %q", &c.err, want)
	}
}
