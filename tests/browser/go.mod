module github.com/wsnotify/wsnotify/tests/browser

go 1.25.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/wsnotify/wsnotify v0.1.0
)

require github.com/coder/websocket v1.8.15 // indirect

replace github.com/wsnotify/wsnotify => ../..
