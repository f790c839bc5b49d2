package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// connection holds the flags of those who connect.
type connection struct {
	user        string
	headers     []string
	origin      string
	userAgent   string
	basicAuth   string
	tokenFile   string
	subprotocol []string
	route
	compress    bool
	readLimit   int64
	interval    time.Duration
	attempts    int
	stableAfter time.Duration
	failFast    bool
	heartbeat   time.Duration
	pingText    string
	showPings   bool
	timeout     time.Duration
	quiet       bool
	verbose     bool
}

// flags declares the flags. Each of them may be set by a variable, too.
func (o *connection) flags(cmd *cobra.Command) {
	o.interval, o.attempts, o.stableAfter, o.heartbeat = 10*time.Second, 6, 5*time.Second, 6*time.Second
	o.readLimit = 1 << 20
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringVarP(&o.user, "user", "u", "", "user `ID`, which is appended to the URL")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "`'Name: value'` to send with each handshake; may be repeated")
	f.StringVarP(&o.origin, "origin", "o", "", "`origin` of the page that a browser would name, such as https://example.com")
	f.StringVarP(&o.userAgent, "user-agent", "A", userAgent(), "`name` of this program for the server")
	f.Var(secret{&o.basicAuth}, "basic-auth", "`user:password` for the server")
	f.StringVar(&o.tokenFile, "token-file", "", "`file` with a bearer token, read again for each attempt")
	f.StringArrayVarP(&o.subprotocol, "subprotocol", "s", nil, "subprotocol `name` to offer; may be repeated")
	o.route.flags(f)
	f.BoolVar(&o.compress, "compress", false, "offer compression (permessage-deflate)")
	f.Var(size{&o.readLimit}, "read-limit", "`size` of the largest message taken; -1 for no limit")
	f.Var(duration{at: &o.interval}, "interval", "`time` between attempts")
	f.Var(count{at: &o.attempts, least: -1, hint: "for no limit"}, "attempts", "reconnects in a row before giving up; -1 for no limit")
	f.Var(duration{at: &o.stableAfter}, "stable-after", "`time` for which a connection must last before failures count anew")
	f.BoolVar(&o.failFast, "fail-fast", true, "stop at once on what retrying won't fix, such as 401 or 404")
	f.Var(duration{at: &o.heartbeat, off: true}, "heartbeat", "`time` between pings, or off")
	f.StringVar(&o.pingText, "ping-text", "", "`text` message to send with each ping, for servers that want one")
	f.BoolVar(&o.showPings, "show-pings", false, "say how long each ping took, and show the server's pings and its answers to --ping-text")
	f.Var(duration{at: &o.timeout}, "timeout", "end after this `time`; 0s for never")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "print nothing on the standard error but why it failed")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print the handshake, without what may be a secret, and more")
	maySet(f)
	cmd.Flags().SortFlags = false
	cmd.Flags().AddFlagSet(f)
	for _, name := range []string{"token-file", "cacert", "cert", "key", "unix"} {
		cmd.MarkFlagFilename(name)
	}
}

// maySet marks flags as those that a variable may set.
func maySet(f *pflag.FlagSet) {
	f.VisitAll(func(f *pflag.Flag) { f.Annotations = map[string][]string{fromEnvironment: {"true"}} })
}

// config makes the client's configuration from the flags, and the address
// that to means.
func (o *connection) config(cmd *cobra.Command, to string) (cfg wsnotify.Config, url string, err error) {
	to, socket, err := address(to)
	if err != nil {
		return cfg, "", err
	}
	if cfg.Header, err = o.header(); err != nil {
		return cfg, "", err
	}
	warn := sayer(cmd.ErrOrStderr())
	if o.quiet {
		warn = func(string, ...any) {}
	}
	if cfg.HTTPClient, err = o.route.client(socket, warn); err != nil {
		return cfg, "", err
	}
	cfg.Subprotocols = o.subprotocol
	if o.compress {
		cfg.Compression = wsnotify.CompressionContextTakeover
	}
	cfg.ReadLimit = o.readLimit
	cfg.StableAfter = o.stableAfter
	hb := &cfg.Heartbeat
	hb.Interval, hb.Text, hb.NoText = o.heartbeat, o.pingText, o.pingText == ""
	if o.heartbeat == 0 {
		return cfg, "", usage("--heartbeat 0s: expected a time such as 6s, or off")
	}
	if o.showPings {
		hb.Replies = []string{}
	}
	cfg.BackOff = func() wsnotify.BackOff {
		b := backoff.BackOff(backoff.NewConstantBackOff(o.interval))
		switch {
		case o.attempts < 0:
			return b
		case o.attempts == 0:
			return &backoff.StopBackOff{}
		}
		return backoff.WithMaxRetries(b, uint64(o.attempts))
	}
	if o.tokenFile != "" {
		cfg.BeforeDial = func(_ context.Context, req *wsnotify.DialRequest) error {
			token, err := os.ReadFile(o.tokenFile)
			if err != nil {
				return settingError{fmt.Errorf("--token-file: %w", err)}
			}
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			return nil
		}
	}
	return cfg, to, nil
}

func (o *connection) header() (http.Header, error) {
	h := http.Header{}
	for _, line := range o.headers {
		name, value, ok := strings.Cut(line, ":")
		if name = textproto.TrimString(name); !ok || name == "" {
			return nil, usage("--header %q: expected 'Name: value'", line)
		}
		switch lower := strings.ToLower(name); {
		case strings.HasPrefix(lower, "sec-websocket-"), lower == "connection", lower == "upgrade":
			return nil, usage("--header %q: the handshake sets it by itself; --subprotocol and --compress say what it asks for", name)
		}
		h.Add(name, textproto.TrimString(value))
	}
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", o.userAgent)
	}
	if o.origin != "" {
		if !strings.Contains(o.origin, "://") && o.origin != "null" {
			return nil, usage("--origin %s: expected a scheme, as in https://%[1]s", o.origin)
		}
		h.Set("Origin", o.origin)
	}
	if o.basicAuth != "" {
		switch {
		case !strings.Contains(o.basicAuth, ":"):
			return nil, usage("--basic-auth: expected user:password; it has no colon")
		case o.tokenFile != "":
			return nil, usage("--basic-auth and --token-file both set the header Authorization: leave one out")
		}
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(o.basicAuth)))
	}
	return h, nil
}

// retry says whether a failure is worth another attempt. A token may have been
// replaced since it was read.
func (o *connection) retry() func(wsnotify.Failure) bool {
	switch {
	case !o.failFast:
		return func(wsnotify.Failure) bool { return true }
	case o.tokenFile != "":
		return wsnotify.RetryOnce(http.StatusUnauthorized, http.StatusForbidden)
	}
	return wsnotify.FailFast
}

// limited returns a context that ends after --timeout.
func (o *connection) limited(ctx context.Context) (limited context.Context, cancel context.CancelFunc) {
	if o.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.timeout)
}

// notes has the client report its connections by say, unless it is to be
// quiet, and returns what reports other things of that kind.
func (o *connection) notes(say func(string, ...any), cfg *wsnotify.Config) (note func(string, ...any)) {
	if o.quiet {
		return func(string, ...any) {}
	}
	cfg.OnReconnecting = func(ev wsnotify.ReconnectEvent) { say("%s", again(ev)) }
	if o.verbose {
		cfg.OnOpen = func(ev wsnotify.OpenEvent) {
			say("connected to %s", handshake.RedactedText(ev.URL))
			if ev.Subprotocol != "" {
				say("subprotocol %s", ev.Subprotocol)
			}
		}
		showHandshakes(say, cfg, o.http2)
	}
	return say
}
