package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// connection holds the flags of those who connect.
type connection struct {
	user        string
	headers     []string
	tokenFile   string
	subprotocol []string
	insecure    bool
	proxy       string
	interval    time.Duration
	attempts    int
	failFast    bool
	heartbeat   time.Duration
	timeout     time.Duration
}

func (o *connection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVarP(&o.user, "user", "u", "", "user `ID`, which is appended to the URL")
	f.StringArrayVarP(&o.headers, "header", "H", nil, "`'Name: value'` to send with each handshake; may be repeated")
	f.StringVar(&o.tokenFile, "token-file", "", "`file` with a bearer token, read again for each attempt")
	f.StringArrayVar(&o.subprotocol, "subprotocol", nil, "subprotocol `name` to offer; may be repeated")
	f.BoolVar(&o.insecure, "insecure", false, "don't verify the server's certificate")
	f.StringVar(&o.proxy, "proxy", "", "proxy `URL`: http, https or socks5; without it as HTTP_PROXY says")
	f.DurationVar(&o.interval, "interval", 10*time.Second, "`time` between attempts")
	f.IntVar(&o.attempts, "attempts", 6, "reconnects in a row before giving up; -1 for no limit")
	f.BoolVar(&o.failFast, "fail-fast", false, "stop at once on what waiting can't cure, such as 401 or 404")
	f.DurationVar(&o.heartbeat, "heartbeat", 6*time.Second, "`time` between heartbeats; -1s for none")
	f.DurationVar(&o.timeout, "timeout", 0, "end after this `time`; 0 for never")
	cmd.MarkFlagFilename("token-file")
}

// address adds the scheme that is meant where there is none.
func address(text string) string {
	if strings.Contains(text, "://") {
		return text
	}
	host, _, _ := strings.Cut(text, "/")
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if ip := net.ParseIP(strings.Trim(host, "[]")); host == "localhost" || ip != nil && ip.IsLoopback() {
		return "ws://" + text
	}
	return "wss://" + text
}

// config makes the client's from the flags.
func (o *connection) config(cmd *cobra.Command) (cfg wsnotify.Config, err error) {
	cfg.Header = http.Header{}
	for _, h := range o.headers {
		name, value, ok := strings.Cut(h, ":")
		if name = textproto.TrimString(name); !ok || name == "" {
			return cfg, usage("--header %q is not of the form 'Name: value'", h)
		}
		cfg.Header.Add(name, textproto.TrimString(value))
	}
	if o.interval < 0 {
		return cfg, usage("--interval must not be negative")
	}
	cfg.Subprotocols = o.subprotocol
	cfg.Heartbeat.Interval = o.heartbeat
	cfg.BackOff = func() backoff.BackOff {
		b := backoff.BackOff(backoff.NewConstantBackOff(o.interval))
		switch {
		case o.attempts < 0:
			return b
		case o.attempts == 0:
			return &backoff.StopBackOff{}
		}
		return backoff.WithMaxRetries(b, uint64(o.attempts))
	}
	if o.failFast {
		cfg.ShouldReconnect = wsnotify.FailFast
	}
	if o.tokenFile != "" {
		cfg.BeforeDial = func(_ context.Context, req *wsnotify.DialRequest) error {
			token, err := os.ReadFile(o.tokenFile)
			if err != nil {
				return err
			}
			req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
			return nil
		}
	}
	if o.insecure || o.proxy != "" {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		if o.insecure {
			fmt.Fprintln(cmd.ErrOrStderr(), "wsnotify: warning: the server's certificate is not verified")
			transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		}
		if o.proxy != "" {
			proxy, err := url.Parse(o.proxy)
			if err != nil || proxy.Host == "" {
				return cfg, usage("--proxy is not a URL such as http://proxy.example:3128")
			}
			transport.Proxy = http.ProxyURL(proxy)
		}
		cfg.HTTPClient = &http.Client{Transport: transport}
	}
	return cfg, nil
}

// limited returns a context that ends after --timeout.
func (o *connection) limited(ctx context.Context) (limited context.Context, cancel context.CancelFunc) {
	if o.timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, o.timeout)
}

// cause describes a failure in a few words.
func cause(f wsnotify.Failure) string {
	switch {
	case f.HTTPStatus != 0:
		return fmt.Sprintf("HTTP %d %s", f.HTTPStatus, http.StatusText(f.HTTPStatus))
	case f.Initiator == wsnotify.Remote && f.Code > 0 && f.Reason != "":
		return fmt.Sprintf("closed with %d, %s", int(f.Code), f.Reason)
	case f.Initiator == wsnotify.Remote && f.Code > 0:
		return fmt.Sprintf("closed with %d", int(f.Code))
	}
	return f.Err.Error()
}
