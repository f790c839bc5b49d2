package handshake

import (
	"fmt"
	"net/http"
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
