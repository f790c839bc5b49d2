package wsnotify

import (
	"errors"
	"fmt"
)

// What a browser does not let a page do. Whether a browser holds the sockets
// is asked as !Client.pings, which a test can set.

// insteadOfHeader is what a page can do for an Authorization.
const insteadOfHeader = "put a token into the URL or a subprotocol, or use a cookie"

// useless says which fields a browser has no use for.
func (cfg *Config) useless() error {
	var errs []error
	for _, field := range []struct {
		set           bool
		name, instead string
	}{
		{len(cfg.Header) > 0, "Header", "a page sets no headers; " + insteadOfHeader},
		{cfg.HTTPClient != nil, "HTTPClient", "the browser makes the connection by its own settings of proxies, certificates and cookies"},
		{cfg.Compression != CompressionDisabled, "Compression", "the browser offers compression by itself"},
	} {
		if field.set {
			errs = append(errs, fmt.Errorf("wsnotify: Config.%s is of no use in a browser, leave it out: %s", field.name, field.instead))
		}
	}
	return errors.Join(errs...)
}
