package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// configured is the configuration that flags make.
func configured(t *testing.T, args string) (*connection, wsnotify.Config) {
	t.Helper()
	var o connection
	cmd := &cobra.Command{Use: "x"}
	o.flags(cmd)
	if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	cfg, url, err := o.config(cmd, "ws://server/")
	if err != nil || url != "ws://server/" {
		t.Fatal(url, err)
	}
	return &o, cfg
}

// Each flag of a connection is a field of Config, and so is its default.
func TestFlagsAreFieldsOfConfig(t *testing.T) {
	heartbeat := func(cfg wsnotify.Config) any { return fmt.Sprintf("%+v", cfg.Heartbeat) }
	withText := func(cfg wsnotify.Config) any { return fmt.Sprintf("%q %v", cfg.Heartbeat.Text, cfg.Heartbeat.NoText) }
	for _, test := range []struct {
		args string
		of   func(wsnotify.Config) any
		want any
	}{
		{"", func(cfg wsnotify.Config) any { return cfg.ReadLimit }, int64(1 << 20)},
		{"--read-limit 5M", func(cfg wsnotify.Config) any { return cfg.ReadLimit }, int64(5 << 20)},
		{"--read-limit -1", func(cfg wsnotify.Config) any { return cfg.ReadLimit }, int64(-1)},
		{"", func(cfg wsnotify.Config) any { return cfg.StableAfter }, 5 * time.Second},
		{"--stable-after 7s", func(cfg wsnotify.Config) any { return cfg.StableAfter }, 7 * time.Second},
		{"", heartbeat, fmt.Sprintf("%+v", wsnotify.Heartbeat{Interval: 6 * time.Second, NoText: true})},
		{"--heartbeat 9s", func(cfg wsnotify.Config) any { return cfg.Heartbeat.Interval }, 9 * time.Second},
		{"--heartbeat off", func(cfg wsnotify.Config) any { return cfg.Heartbeat.Interval < 0 }, true},
		{"", withText, `"" true`},
		{"--ping-text hello", withText, `"hello" false`},
		{"", func(cfg wsnotify.Config) any { return cfg.Heartbeat.Replies == nil }, true},
		{"--show-pings", func(cfg wsnotify.Config) any { return cfg.Heartbeat.Replies == nil }, false},
		{"", func(cfg wsnotify.Config) any { return cfg.Compression }, wsnotify.CompressionDisabled},
		{"--compress", func(cfg wsnotify.Config) any { return cfg.Compression }, wsnotify.CompressionContextTakeover},
		{"-s a -s b", func(cfg wsnotify.Config) any { return fmt.Sprint(cfg.Subprotocols) }, "[a b]"},
		{"-H A:1 -H A:2", func(cfg wsnotify.Config) any { return fmt.Sprint(cfg.Header["A"]) }, "[1 2]"},
		{"", func(cfg wsnotify.Config) any { return cfg.BeforeDial == nil }, true},
		{"--token-file x", func(cfg wsnotify.Config) any { return cfg.BeforeDial == nil }, false},
	} {
		if _, cfg := configured(t, test.args); test.of(cfg) != test.want {
			t.Errorf("%s: %v, want %v", test.args, test.of(cfg), test.want)
		}
	}
}

func TestAttemptsOfTheFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                            "[10s 10s 10s 10s 10s 10s -1ns -1ns]",
		"--attempts 2 --interval 3s":  "[3s 3s -1ns -1ns -1ns -1ns -1ns -1ns]",
		"--attempts 0":                "[-1ns -1ns -1ns -1ns -1ns -1ns -1ns -1ns]",
		"--attempts -1 --interval 0s": "[0s 0s 0s 0s 0s 0s 0s 0s]",
	} {
		_, cfg := configured(t, args)
		policy := cfg.BackOff()
		policy.Reset()
		var delays []time.Duration
		for range 8 {
			delays = append(delays, policy.NextBackOff())
		}
		if fmt.Sprint(delays) != want {
			t.Errorf("%s: %v, want %s", args, delays, want)
		}
	}
}

// What retrying won't fix is final, unless that is not wanted; a token may have been replaced meanwhile.
func TestRefusalsThatAreTriedAgain(t *testing.T) {
	refused := func(status int) wsnotify.Failure {
		return wsnotify.Failure{Phase: wsnotify.PhaseHandshake, HTTPStatus: status, Err: errors.New("x")}
	}
	for args, want := range map[string]string{
		"":                  "404: false false, 401: false false, 503: true true",
		"--fail-fast=false": "404: true true, 401: true true, 503: true true",
		"--token-file x":    "404: false false, 401: true false, 503: true true",
	} {
		o, _ := configured(t, args)
		var got []string
		for _, status := range []int{http.StatusNotFound, http.StatusUnauthorized, http.StatusServiceUnavailable} {
			again := o.retry()
			got = append(got, fmt.Sprintf("%d: %v %v", status, again(refused(status)), again(refused(status))))
		}
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("%q: %s, want %s", args, s, want)
		}
	}
}

// --quiet says nothing of connections, and --verbose more than when one is lost.
func TestNotesOfConnections(t *testing.T) {
	for args, want := range map[string]string{
		"":      "[attempt 1 in 2s: x another]",
		"-q":    "[]",
		"-v":    "[attempt 1 in 2s: x < HTTP/1.1 101 Switching Protocols connected to ws://server/ subprotocol v2 another]",
		"-q -v": "[]",
	} {
		o, cfg := configured(t, args)
		said := []string{}
		note := o.notes(func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) }, &cfg)
		if cfg.OnReconnecting != nil {
			cfg.OnReconnecting(wsnotify.ReconnectEvent{Attempt: 1, Delay: 2 * time.Second, Failure: wsnotify.Failure{Err: errors.New("x")}})
		}
		if cfg.OnOpen != nil {
			cfg.OnOpen(wsnotify.OpenEvent{URL: "ws://server/", Subprotocol: "v2"})
		}
		note("another")
		if fmt.Sprint(said) != want {
			t.Errorf("%q: %v, want %s", args, said, want)
		}
	}
}

func TestTimeoutOfTheFlags(t *testing.T) {
	for args, want := range map[string]bool{"": false, "--timeout 0s": false, "--timeout 1h": true} {
		o, _ := configured(t, args)
		ctx, cancel := o.limited(context.Background())
		if end, ok := ctx.Deadline(); ok != want || ok && time.Until(end) > time.Hour {
			t.Errorf("%q: it ends at %v, %v", args, end, ok)
		}
		cancel()
	}
}
