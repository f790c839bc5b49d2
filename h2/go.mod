module github.com/wsnotify/wsnotify/h2

go 1.25.0

require (
	github.com/wsnotify/wsnotify v0.1.0
	golang.org/x/net v0.58.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	github.com/coder/websocket v1.8.15 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace github.com/wsnotify/wsnotify => ../
