package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

func serveCommand() *cobra.Command {
	var addr, confirm string
	play := &replay{speed: 1}
	var names []string
	h := newHub(nil)
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve notifications, to try things with",
		Long: `Serve is a small notification server, for trying things:

  GET  /               a page that shows who is connected, what they send, and
                       notifies, answers, mutes and closes them
  GET  /ws/{user}      the WebSocket; what clients send is printed
  POST /notify/{user}  a notification, as JSON or as a form, with msgType and content
  POST /notify         to everybody

It keeps nothing unless --number is set, does no authentication, and listens on the
loopback address unless told otherwise. It answers to localhost and loopback addresses,
and to the host of --addr; a request by another name is refused with 403 unless --host
allows that name, since a page of any site can have its own name lead to this machine.
The text "ping" of clients is not printed unless --show-pings is set.`,
		Example: `  wsnotify serve
  wsnotify serve --echo
  wsnotify serve --number seq
  wsnotify serve --addr 9000 --refuse 401
  wsnotify serve --replay bug.jsonl --speed 10
  wsnotify serve --addr :8080 --host devbox.example
  curl -d msgType=mail -d content='3 new' http://localhost:8080/notify/ada
  curl --json '{"msgType":"mail","content":{"from":"Bob"}}' http://localhost:8080/notify`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if h.refuse != 0 && (h.refuse < 200 || h.refuse > 599) {
				return usage("--refuse %d: expected an HTTP status from 200 to 599, such as 401", h.refuse)
			}
			var err error
			if h.confirm, err = parsePath("--confirm", confirm); err != nil {
				return err
			}
			switch field := h.numbers.field; {
			case field == "msgType", field == "content":
				return usage("--number %s: notifications have that field already; expected another one, such as seq", field)
			case field == "" && cmd.Flags().Changed("number"):
				return usage("--number: the name of the field is empty")
			}
			if err := play.check(changed(cmd, "echo", "confirm", "number", "refuse")...); err != nil {
				return err
			}
			if play.path != "" {
				return play.serve(cmd, addr, names)
			}
			listener, err := listenAt(addr)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			h.say = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
			h.hosts = hostsOf(listener.Addr(), addr, names)
			server := newServer(h)
			at := listener.Addr().String()
			fmt.Fprintf(out, "page       http://%s/\nWebSocket  ws://%[1]s/ws/{user}\nnotify     curl -d msgType=mail -d content='3 new' http://%[1]s/notify/{user}\ntalk       wsnotify %[1]s/ws/ada\n\n", at)
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
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&addr, "addr", "127.0.0.1:8080", "`address` to listen on, or a port of the loopback address")
	f.StringArrayVar(&names, "host", nil, "`name` of this machine that requests may use, besides localhost and that of\n--addr; * for any; may be repeated")
	f.BoolVar(&h.echo, "echo", false, "send each message back to its sender")
	f.StringVar(&confirm, "confirm", "", "answer each JSON message that has an id at this `path`, such as id, with that id")
	f.StringVar(&h.numbers.field, "number", "", "number the notifications of each user in this `field`, such as seq, and keep the last\n1000, also for users who have been there and are away: a client that asks with ?after=17\ngets those behind 17")
	f.Var(count{at: &h.refuse, like: "an HTTP status such as 401"}, "refuse", "refuse every handshake with this HTTP `STATUS`")
	f.Var(size{&h.readLimit}, "read-limit", "`size` of the largest message taken; -1 for no limit")
	play.flags(f)
	f.Var(count{at: &h.maxClients, least: 1}, "max-clients", "clients that may be connected at once")
	f.BoolVar(&h.pings, "show-pings", false, `print the text "ping" of clients, too`)
	return cmd
}

// newServer bounds what those who speak HTTP can take. Clients have bounds of their own.
func newServer(h *hub) *http.Server {
	const most = 256 // connections that are no WebSockets
	var mu sync.Mutex
	there := map[net.Conn]bool{}
	return &http.Server{
		Handler:           handler(h),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ConnState: func(conn net.Conn, state http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			switch state {
			case http.StateNew:
				if there[conn] = true; len(there) > most {
					conn.Close()
				}
			case http.StateHijacked, http.StateClosed:
				delete(there, conn)
			}
		},
	}
}

func listenAt(addr string) (net.Listener, error) {
	if addr != "" && strings.Trim(addr, "0123456789") == "" {
		addr = "127.0.0.1:" + addr
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, usage("--addr %s: expected a host and a port such as 127.0.0.1:8080, or a port", addr)
	}
	listener, err := net.Listen("tcp", addr)
	if isErrno(err, addressInUse) {
		return nil, fmt.Errorf("something listens on %s already; choose another port with --addr", addr)
	}
	return listener, err
}
