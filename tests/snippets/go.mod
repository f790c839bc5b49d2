module github.com/wsnotify/wsnotify/tests/snippets

go 1.25.0

require (
	github.com/cenkalti/backoff/v4 v4.3.0
	github.com/coder/websocket v1.8.15
	github.com/prometheus/client_golang v1.23.2
	github.com/wsnotify/wsnotify v0.1.0
	github.com/wsnotify/wsnotify/h2 v0.1.0
	github.com/wsnotify/wsnotify/otel v0.1.0
	github.com/wsnotify/wsnotify/prom v0.1.0
	github.com/wsnotify/wsnotify/spool v0.1.0
	golang.org/x/time v0.12.0
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/go-logr/logr v1.4.3 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.2 // indirect
	github.com/prometheus/common v0.66.1 // indirect
	github.com/prometheus/procfs v0.16.1 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	go.opentelemetry.io/auto/sdk v1.1.0 // indirect
	go.opentelemetry.io/otel v1.38.0 // indirect
	go.opentelemetry.io/otel/metric v1.38.0 // indirect
	go.opentelemetry.io/otel/trace v1.38.0 // indirect
	go.yaml.in/yaml/v2 v2.4.2 // indirect
	golang.org/x/net v0.58.0 // indirect
	golang.org/x/sys v0.47.0 // indirect
	golang.org/x/text v0.41.0 // indirect
	google.golang.org/protobuf v1.36.8 // indirect
)

replace (
	github.com/wsnotify/wsnotify => ../../
	github.com/wsnotify/wsnotify/h2 => ../../h2
	github.com/wsnotify/wsnotify/otel => ../../otel
	github.com/wsnotify/wsnotify/prom => ../../prom
	github.com/wsnotify/wsnotify/spool => ../../spool
)
