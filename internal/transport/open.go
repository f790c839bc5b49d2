package transport

import (
	"net/http"
	"net/url"

	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// Request is what Open needs to know.
type Request struct {
	URL          *url.URL // ws, wss, http or https
	Header       http.Header
	Subprotocols []string
	Compression  *extension.Offer // nil: none
	HTTPClient   *http.Client     // nil: one of our own
	Options      Options

	// Answered is called when a response has come, before it is looked at. It
	// must not block.
	Answered func(*http.Response)

	// Sending is called with the headers that are about to be sent, to the proxy of
	// an address or, if that is nil, to the server. It must not block, and keep
	// nothing.
	Sending func(proxy *url.URL, header http.Header)

	// Securing is called when a TLS handshake with the server begins, with true, and
	// once it is done, with false. It must not block.
	Securing func(underWay bool)
}

// ProxyError is the refusal of a proxy.
type ProxyError = handshake.ProxyError
