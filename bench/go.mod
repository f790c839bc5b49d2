module github.com/wsnotify/wsnotify/bench

go 1.26

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/coder/websocket v1.8.15
	github.com/gobwas/ws v1.5.0
	github.com/gorilla/websocket v1.5.3
	github.com/lxzan/gws v1.9.1
	github.com/wsnotify/wsnotify v0.1.0
	github.com/wsnotify/wsnotify/h2 v0.1.0
	github.com/wsnotify/wsnotify/spool v0.1.0
)

require (
	github.com/gobwas/httphead v0.1.0 // indirect
	github.com/klauspost/compress v1.17.9 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
)

replace (
	github.com/wsnotify/wsnotify => ../
	github.com/wsnotify/wsnotify/h2 => ../h2
	github.com/wsnotify/wsnotify/spool => ../spool
)
