// Package snippets checks that the Go code of every page compiles.
package snippets

// What the code of the pages may import, besides the standard library. The
// name before it is that of the package where the path does not end with it.
import (
	_ "github.com/cenkalti/backoff/v4"
	_ "github.com/coder/websocket"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "golang.org/x/time/rate"

	_ "github.com/wsnotify/wsnotify"
	_ "github.com/wsnotify/wsnotify/h2"
	_ "github.com/wsnotify/wsnotify/otel"
	_ "github.com/wsnotify/wsnotify/prom"
	_ "github.com/wsnotify/wsnotify/spool"
	_ "github.com/wsnotify/wsnotify/wsnotifytest"
)
