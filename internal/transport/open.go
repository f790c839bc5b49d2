package transport

import (
	"net/http"
	"net/url"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// Request is what Open needs to know.
type Request struct {
	URL          *url.URL // ws, wss, http or https
	Header       http.Header
	Subprotocols []string
	Compression  websocket.CompressionMode
	HTTPClient   *http.Client // nil: one of our own
	Options      Options

	// Answered is called when a response has come, before it is looked at. It
	// must not block.
	Answered func(*http.Response)
}

// ProxyError is the refusal of a proxy.
type ProxyError = handshake.ProxyError
