module github.com/wsnotify/wsnotify/examples/agent

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/wsnotify/wsnotify v0.1.0
	github.com/wsnotify/wsnotify/spool v0.1.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace (
	github.com/wsnotify/wsnotify => ../../
	github.com/wsnotify/wsnotify/spool => ../../spool
)
