module github.com/wsnotify/wsnotify/tests/migrating

go 1.25.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/cenkalti/backoff/v5 v5.0.3
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	github.com/recws-org/recws v1.4.0
	github.com/wsnotify/wsnotify v0.1.0
	nhooyr.io/websocket v1.8.17
)

require github.com/jpillora/backoff v1.0.0 // indirect

replace github.com/wsnotify/wsnotify => ../..
