//go:build !js

// Browser is the client in a page: notifications, the state of the connection,
// the countdown to the next attempt and a button, in a few lines of HTML and a
// Go program that is compiled for the browser.
//
//	go run ./examples/browser
//
// builds that program, serves it on loopback and says which address to open.
// Stop it and start it again on the same address to see the page come back:
//
//	go run ./examples/browser -listen 127.0.0.1:8080
//
// With -cert and -key it serves https, and the page uses wss. The page runs under a
// Content-Security-Policy that allows nothing but its own files.
//
// page/main.go is what to copy, and wasm_exec.js, which comes with Go.
package main

import (
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	listen := flag.String("listen", "127.0.0.1:0", "the `address` to serve the page on")
	cert := flag.String("cert", "", "the `file` of a certificate in PEM, to serve https")
	key := flag.String("key", "", "the `file` of its key")
	flag.Parse()
	if err := run(ctx, *listen, *cert, *key, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

//go:embed page.html page.css page.js
var files embed.FS

// policy lets the page load what it is made of, and connect to where it comes
// from; that is all. WebAssembly needs a permission of its own.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// run serves the page until ctx ends: over https if there is a certificate.
func run(ctx context.Context, listen, cert, key string, out io.Writer) error {
	if (cert == "") != (key == "") {
		return errors.New("-cert and -key belong together: give both, or neither")
	}
	wasm, glue, err := build(ctx)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for path, file := range map[string]struct {
		typ     string
		content []byte
	}{
		"/{$}":          {"text/html; charset=utf-8", embedded("page.html")},
		"/page.css":     {"text/css; charset=utf-8", embedded("page.css")},
		"/page.js":      {"text/javascript; charset=utf-8", embedded("page.js")},
		"/page.wasm":    {"application/wasm", wasm},
		"/wasm_exec.js": {"text/javascript; charset=utf-8", glue},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", file.typ)
			w.Header().Set("Content-Security-Policy", policy)
			w.Header().Set("X-Content-Type-Options", "nosniff")
			w.Write(file.content)
		})
	}
	var pages sync.WaitGroup // that are told that the server stops
	mux.HandleFunc("GET /ws/{user}", func(w http.ResponseWriter, r *http.Request) {
		pages.Add(1)
		defer pages.Done()
		notify(ctx, w, r)
	})
	server := &http.Server{Handler: mux}
	serve, scheme := server.Serve, "http"
	if cert != "" {
		// Over HTTP/2 the page's WebSocket would need RFC 8441, which net/http does not do.
		server.TLSConfig = &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
		serve = func(l net.Listener) error { return server.ServeTLS(l, cert, key) }
		scheme = "https"
	}
	fmt.Fprintf(out, "open %s://%s in a browser; Ctrl-C ends it\n", scheme, listener.Addr())
	context.AfterFunc(ctx, func() { server.Close() })
	if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	pages.Wait()
	return nil
}

func embedded(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is not in the go:embed above
	}
	return content
}

// build compiles the program of the page, and finds the JavaScript that Go has
// for it.
func build(ctx context.Context) (wasm, glue []byte, err error) {
	dir, err := os.MkdirTemp("", "wsnotify")
	if err != nil {
		return nil, nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "page.wasm")
	cmd := exec.CommandContext(ctx, "go", "build", "-ldflags=-s -w", "-o", file, "github.com/wsnotify/wsnotify/examples/browser/page")
	cmd.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("building the page, inside the module that has it: %w\n%s", err, out)
	}
	if wasm, err = os.ReadFile(file); err != nil {
		return nil, nil, err
	}
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, nil, err
	}
	glue, err = os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	return wasm, glue, err
}

// notification is what the page shows.
type notification struct {
	MsgType string `json:"msgType"`
	Content string `json:"content"`
}

// notify is the server's side of one page: it answers the heartbeat, tells
// something each 10 s, and something more when it is asked. When stopping ends
// it says good-bye.
func notify(stopping context.Context, w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil) // from the page's own host only
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(stopping, func() { conn.Close(websocket.StatusGoingAway, "the server stops") })()
	user := r.PathValue("user")
	wsjson.Write(ctx, conn, notification{"hello", "Welcome, " + user + "."})
	go func() {
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-time.After(10 * time.Second):
			}
			if wsjson.Write(ctx, conn, notification{"mail", fmt.Sprintf("Message %d from Charles", n)}) != nil {
				return
			}
		}
	}()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if string(data) == "ping" {
			err = conn.Write(ctx, websocket.MessageText, []byte("pong"))
		} else {
			err = wsjson.Write(ctx, conn, notification{"news", "It is " + time.Now().Format(time.TimeOnly) + " on the server."})
		}
		if err != nil {
			return
		}
	}
}
