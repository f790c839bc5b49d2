package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// hosts are the names by which serve may be asked. A page of any site can have its own name lead to
// this machine (DNS rebinding) and is then, for a browser, a page of this server, which may read what
// is sent here: only the name in the request tells the two apart.
type hosts struct {
	names     []string // besides those of the loopback addresses; "*" is any
	addresses bool     // any IP address, too: a page can't make its own name one
}

// hostsOf makes the hosts of a server that listens on addr, and may be asked for names besides.
func hostsOf(addr net.Addr, asked string, names []string) hosts {
	h := hosts{names: slices.Clone(names)}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		h.addresses = !tcp.IP.IsLoopback()
	}
	if host, _, err := net.SplitHostPort(asked); err == nil && host != "" {
		h.names = append(h.names, host)
	}
	return h
}

// isLoopback reports whether a host, without its port, is this machine whatever a name server says.
func isLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// allow reports whether a request may name a host.
func (h *hosts) allow(host string) bool {
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	name = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(name, "["), "]"), ".")
	return isLoopback(name) || h.addresses && net.ParseIP(name) != nil ||
		slices.ContainsFunc(h.names, func(n string) bool { return n == "*" || strings.EqualFold(strings.TrimSuffix(n, "."), name) })
}

// only has next answer requests that name one of the hosts, and refuses the others.
func (h *hosts) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.allow(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		http.Error(w, fmt.Sprintf("this server is not asked by the name %q, which may be a page's that wants to read what is sent here; "+
			"use localhost, or start it with: wsnotify serve --host %s", shorten(r.Host, 200), shorten(hostName(r.Host), 200)), http.StatusForbidden)
	})
}

func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}
