package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall/js"
)

// Pings says that a browser sends no protocol pings for a page.
const Pings = false

// Open has the browser make a connection. It shows no response: the error of a
// refusal says only that there is no connection. The Conn has the method
// Subprotocol.
func Open(ctx context.Context, req *Request) (Conn, *http.Response, error) {
	constructor := js.Global().Get("WebSocket")
	if constructor.Type() != js.TypeFunction {
		return nil, nil, errors.New("there is no WebSocket in this JavaScript environment")
	}
	protocols := make([]any, len(req.Subprotocols))
	for i, p := range req.Subprotocols {
		protocols[i] = p
	}
	address := webSocketURL(req)
	var ws js.Value
	if err := try(func() { ws = constructor.New(address, protocols) }); err != nil {
		// It may quote the address, which may hold secrets.
		return nil, nil, &refusedError{strings.ReplaceAll(err.Error(), address, "(the address)")}
	}
	b := newBrowser(ws, req.Options)
	select {
	case <-b.opened:
		return b, nil, nil
	case <-b.gone:
	case <-ctx.Done():
		b.Kill()
		return nil, nil, ctx.Err()
	}
	select {
	case <-b.opened: // and lost since, which Read says
		return b, nil, nil
	default:
		return nil, nil, &refusedError{"the browser made no connection and does not tell a page why; look into its console"}
	}
}

// webSocketURL is the address in a form that older browsers take, too.
func webSocketURL(req *Request) string {
	u := *req.URL
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	}
	return u.String()
}

// refusedError is a connection that the browser did not make. It is a
// net.ErrClosed: nobody can tell who is to blame, and so it is the network.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }
func (e *refusedError) Unwrap() error { return net.ErrClosed }

// try returns what f throws, as JavaScript has it.
func try(f func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case js.Error:
			err = fmt.Errorf("the browser refused it: %s", js.Global().Get("String").Invoke(e.Value).String())
		default:
			panic(e)
		}
	}()
	f()
	return nil
}
