package main

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify"
)

// report is the body of both answers.
type report struct {
	State       string     `json:"state"`
	OpenSince   *time.Time `json:"openSince,omitempty"`
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	Attempts    int        `json:"attempts,omitempty"`
	RTT         string     `json:"rtt,omitempty"`
	Queued      int        `json:"queued"`
	LastFailure string     `json:"lastFailure,omitempty"`
}

// health answers probes from the client's Status, which never blocks.
//
// A service that has lost its connection is alive: to start it anew would not
// bring the server back. It is not when the policy has given up.
func health(mux *http.ServeMux, client *wsnotify.Client) {
	probe := func(healthy func(wsnotify.Status) bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			status := client.Status()
			code := http.StatusOK
			if !healthy(status) {
				code = http.StatusServiceUnavailable
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			json.NewEncoder(w).Encode(reportOf(status))
		}
	}
	mux.HandleFunc("GET /livez", probe(func(s wsnotify.Status) bool { return !s.GaveUp }))
	mux.HandleFunc("GET /readyz", probe(func(s wsnotify.Status) bool { return s.ReadyState == wsnotify.Open }))
}

func reportOf(s wsnotify.Status) report {
	r := report{State: s.ReadyState.String(), Attempts: s.ReconnectAttempts, Queued: s.Queued}
	if !s.OpenSince.IsZero() {
		r.OpenSince = &s.OpenSince
		r.RTT = s.RTT.String()
	}
	if !s.NextAttempt.IsZero() {
		r.NextAttempt = &s.NextAttempt
	}
	if s.LastFailure != nil {
		r.LastFailure = s.LastFailure.Err.Error()
	}
	return r
}
