package wsnotify

import (
	"context"
	"net/http"

	"github.com/wsnotify/wsnotify/internal/transport"
)

// dial opens a connection. A browser shows no response.
func dial(ctx context.Context, cfg *Config, opts transport.Options, req *DialRequest, _ *transport.Socket, answered func(*http.Response)) (transport.Conn, *http.Response, error) {
	return transport.Open(ctx, &transport.Request{
		URL: req.URL, Header: req.Header, Subprotocols: cfg.Subprotocols, Compression: cfg.Compression,
		HTTPClient: cfg.HTTPClient, Options: opts, Answered: answered,
	})
}

// validCompression leaves it to useless to speak of them.
func validCompression(m CompressionMode) bool {
	return m == CompressionDisabled || m == CompressionContextTakeover || m == CompressionNoContextTakeover
}
