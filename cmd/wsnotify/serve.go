package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

//go:embed page.html
var page []byte

const maxBody = 1 << 20 // of a notification

func serveCommand() *cobra.Command {
	var addr string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve notifications, to try things with",
		Long: `Serve is a small notification server, for trying things:

  GET  /               a page that shows who is connected and notifies them
  GET  /ws/{user}      the WebSocket; what clients send is printed
  POST /notify/{user}  a notification, as JSON or as a form, with msgType and content
  POST /notify         to everybody

It keeps nothing, asks nobody who he is, and listens on the loopback address unless
told otherwise.`,
		Example: `  wsnotify serve
  wsnotify serve --addr 127.0.0.1:9000
  curl -d msgType=mail -d content='3 new' http://localhost:8080/notify/ada
  curl --json '{"msgType":"mail","content":{"from":"Bob"}}' http://localhost:8080/notify`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			listener, err := net.Listen("tcp", addr)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			h := newHub(func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) })
			server := &http.Server{Handler: handler(h), ReadHeaderTimeout: 10 * time.Second}
			at := listener.Addr().String()
			fmt.Fprintf(out, "page       http://%s/\nWebSocket  ws://%[1]s/ws/{user}\nnotify     curl -d msgType=mail -d content='3 new' http://%[1]s/notify/{user}\n\n", at)
			served := make(chan error, 1)
			go func() { served <- server.Serve(listener) }()
			select {
			case err = <-served:
				return err
			case <-cmd.Context().Done():
			}
			h.close()
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			return server.Shutdown(ctx)
		},
	}
	cmd.Flags().StringVar(&addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	return cmd
}

func handler(h *hub) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; frame-ancestors 'none'")
		w.Write(page)
	})
	mux.HandleFunc("GET /ws/{user}", h.join)
	mux.HandleFunc("GET /clients", h.stream)
	notify := func(w http.ResponseWriter, r *http.Request) {
		message, err := notification(w, r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		n := h.notify(r.PathValue("user"), message)
		if n == 0 {
			http.Error(w, "nobody is connected under this name", http.StatusNotFound)
			return
		}
		fmt.Fprintf(w, "sent to %d\n", n)
	}
	mux.HandleFunc("POST /notify/{user}", notify)
	mux.HandleFunc("POST /notify", notify)
	mux.HandleFunc("POST /clients/{id}/{verb}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := strconv.Atoi(r.PathValue("id"))
		if !h.control(id, r.PathValue("verb")) {
			http.Error(w, "there is no such client, or nothing of that name to be done to it", http.StatusNotFound)
		}
	})
	// A page from elsewhere must not notify, drop or mute anybody.
	return http.NewCrossOriginProtection().Handler(mux)
}

// notification reads a request as the JSON of a notification.
func notification(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	var n struct {
		MsgType string          `json:"msgType"`
		Content json.RawMessage `json:"content"`
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			return nil, fmt.Errorf("the body is not JSON with msgType and content: %w", err)
		}
	} else {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		n.MsgType = r.PostFormValue("msgType")
		if text := r.PostFormValue("content"); text != "" {
			n.Content, _ = json.Marshal(text)
		}
	}
	if n.MsgType == "" || len(n.Content) == 0 {
		return nil, errors.New("msgType or content is missing")
	}
	return json.Marshal(n)
}
