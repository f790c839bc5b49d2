package main

import (
	"encoding/json"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/wsnotify/wsnotify"
	wsnotifyprom "github.com/wsnotify/wsnotify/prom"
)

// newWeb returns what the service shows of its client.
func newWeb(client *wsnotify.Client) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(wsnotifyprom.NewCollector("mails", client))

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("GET /livez", probe(client, func(s wsnotify.Status) bool { return !s.GaveUp }))
	mux.Handle("GET /readyz", probe(client, func(s wsnotify.Status) bool { return s.ReadyState == wsnotify.Open }))
	return mux
}

// probe answers 200 or 503, with the Status as JSON. Status never blocks.
func probe(client *wsnotify.Client, healthy func(wsnotify.Status) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		status := client.Status()
		w.Header().Set("Content-Type", "application/json")
		if !healthy(status) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		json.NewEncoder(w).Encode(status)
	}
}
