// Package child is what the servers of this module have in common: they are
// started with the address to listen on, and write what they do as lines of JSON.
package child

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// Emit writes a line for the test.
func Emit(event, text string) {
	b, _ := json.Marshal(map[string]string{"event": event, "text": text})
	os.Stdout.Write(append(b, '\n'))
}

// Serve serves handler as the program's argument says, until the process is
// killed. SIGUSR2 makes it drop every connection without a word.
func Serve(handler http.Handler) {
	var options struct {
		Host string
		Port int
	}
	if err := json.Unmarshal([]byte(os.Args[1]), &options); err != nil {
		fail(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(options.Host, fmt.Sprint(options.Port)))
	if err != nil {
		fail(err)
	}
	var mu sync.Mutex
	var conns []net.Conn
	drop := make(chan os.Signal, 1)
	signal.Notify(drop, syscall.SIGUSR2)
	go func() {
		for range drop {
			mu.Lock()
			for _, conn := range conns {
				conn.Close()
			}
			conns = nil
			mu.Unlock()
		}
	}()
	Emit("listening", "")
	srv := &http.Server{Handler: handler, ConnState: func(conn net.Conn, state http.ConnState) {
		if state == http.StateHijacked {
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			Emit("open", "")
		}
	}}
	fail(srv.Serve(listener))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
