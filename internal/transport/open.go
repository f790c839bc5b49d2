package transport

import (
	"fmt"
	"net/http"
	"net/url"
)

// Request is what Open needs to know.
type Request struct {
	URL          *url.URL // ws, wss, http or https
	Header       http.Header
	Subprotocols []string
	Compression  Compression
	HTTPClient   *http.Client // nil: one of our own
	Options      Options

	// Answered is called when a response has come, before it is looked at. It
	// must not block.
	Answered func(*http.Response)
}

// Compression is a mode of permessage-deflate, RFC 7692.
type Compression int

// The modes, numbered as those of wsnotify and of coder/websocket.
const (
	NoCompression Compression = iota
	ContextTakeover
	NoContextTakeover
)

// ProxyError is the refusal of a proxy.
type ProxyError struct{ Response *http.Response }

func (e *ProxyError) Error() string {
	status := e.Response.StatusCode
	text := fmt.Sprintf("the proxy answered CONNECT with %d %s", status, http.StatusText(status))
	if status == http.StatusProxyAuthRequired {
		text += "; set user and password in its url"
	}
	return text
}
