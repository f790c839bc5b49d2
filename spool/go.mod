module github.com/wsnotify/wsnotify/spool

go 1.25.0

require (
	github.com/coder/websocket v1.8.15
	github.com/wsnotify/wsnotify v0.1.0
	go.etcd.io/bbolt v1.5.0
)

require (
	github.com/cenkalti/backoff/v4 v4.3.0 // indirect
	golang.org/x/sys v0.45.0 // indirect
)

replace github.com/wsnotify/wsnotify => ../
