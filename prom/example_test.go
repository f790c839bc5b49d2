package wsnotifyprom_test

import (
	"log"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wsnotify/wsnotify"
	wsnotifyprom "github.com/wsnotify/wsnotify/prom"
)

func ExampleNewCollector() {
	client := wsnotify.New(wsnotify.Config{})
	registry := prometheus.NewRegistry()
	registry.MustRegister(wsnotifyprom.NewCollector("mail", client)) // the value of the label client
	http.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	log.Fatal(http.ListenAndServe("localhost:8081", nil))
}
