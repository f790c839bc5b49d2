package hostile

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// What rows are made of.
var (
	frame      = harness.FrameOf
	text       = harness.Text
	binaryOf   = harness.Binary
	ping       = harness.Ping
	pong       = harness.Pong
	closeFrame = harness.CloseFrame
	reserved   = harness.Reserved
)

func hostileRows() []hostile {
	var rows []hostile
	rows = append(rows, refusals()...)
	for _, row := range append(malformations(), handshakeBreaks()...) {
		row.http1 = true
		rows = append(rows, row)
	}
	rows = append(rows, silences()...)
	rows = append(rows, openBreaks()...)
	rows = append(rows, violations()...)
	return append(rows, endings()...)
}

// refusals are responses of HTTP that are no 101.
func refusals() (rows []hostile) {
	status := func(does string, code int, extra string, stops bool, headers ...string) {
		body := "no"
		if code == 204 {
			body = ""
		}
		err := fmt.Sprintf("expected 101 Switching Protocols, got %d", code)
		if code >= 300 && code < 400 {
			err = "redirects are not followed"
		}
		if code == 999 {
			err = "status 999"
		}
		rows = append(rows, hostile{
			does: does, script: harness.Answers(harness.Response(code, body, headers...)),
			failure: fmt.Sprintf("handshake, remote, status %d", code) + extra,
			err:     err, as: "*HandshakeError", stops: stops,
		})
	}
	status("says 200", 200, "", true)
	status("says 204", 204, "", true)
	rows[0].http1, rows[1].http1 = true, true // a stream of HTTP/2 is accepted with them
	status("redirects to itself, for ever", 302, "", true, "Location: ws://server/ws/ada")
	status("redirects to another host", 307, "", true, "Location: https://elsewhere.example/?token=hunter2")
	status("redirects to what is no URL", 301, "", true, "Location: http://[::1/%zz?token=hunter2")
	status("redirects nowhere", 308, "", true)
	status("says 400", 400, "", true)
	status("says 401", 401, "", true, `WWW-Authenticate: Bearer`)
	status("says 403", 403, "", true)
	status("says 404", 404, "", true)
	status("says 407", 407, "", true)
	status("says 408", 408, "", false)
	status("says 410", 410, "", true)
	status("says 418 and Retry-After: 7", 418, ", retry after 7s", false, "Retry-After: 7")
	status("says 421", 421, "", false)
	status("says 422", 422, "", true)
	status("says 425", 425, "", false)
	status("says 426", 426, "", true, "Upgrade: h2c", "Connection: Upgrade")
	status("says 429 and Retry-After: 7", 429, ", retry after 7s", false, "Retry-After: 7")
	status("says 503 and Retry-After: 7", 503, ", retry after 7s", false, "Retry-After: 7")
	status("says 503 and a date 30 s ahead", 503, ", retry after 30s", false, "Retry-After: Sat, 01 Jan 2000 00:00:30 GMT")
	status("says 503 and a date that has passed", 503, "", false, "Retry-After: Fri, 31 Dec 1999 00:00:00 GMT")
	status("says 503 and Retry-After of 20 digits", 503, ", retry after 5m0s", false, "Retry-After: 99999999999999999999")
	status("says 503 and a date in the year 9999", 503, ", retry after 5m0s", false, "Retry-After: Fri, 31 Dec 9999 00:00:00 GMT")
	status("says 503 and Retry-After: soon", 503, "", false, "Retry-After: soon")
	status("says 500 and Retry-After: 7", 500, ", retry after 7s", false, "Retry-After: 7")
	status("says 502", 502, "", false)
	status("says 999", 999, "", false)
	return append(rows,
		hostile{
			does: "says 500 with a body of 16 MiB", failure: "handshake, remote, status 500",
			script: func(p *harness.Peer) { p.Answer(harness.Response(500, strings.Repeat("no", 8<<20))) },
			err:    "500", as: "*HandshakeError", alloc: 64 << 20, // the body itself
		},
		hostile{
			does: "says 500 and sends a body without end, a byte a second", within: time.Second,
			script: func(p *harness.Peer) {
				p.Answer("HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n")
				for p.Rest(time.Second) && p.Send("1\r\nx\r\n") == nil {
				}
			},
			failure: "handshake, remote, status 500", err: "500", as: "*HandshakeError",
		},
		hostile{
			does: "says 503 and Retry-After: 7, and sends no body and no end of it", within: time.Second,
			script:  harness.Answers("HTTP/1.1 503 No\r\nRetry-After: 7\r\n\r\n"),
			failure: "handshake, remote, status 503, retry after 7s", err: "503", as: "*HandshakeError",
		},
		hostile{
			does: "says 500 and sends half of the body", failure: "handshake, remote, status 500",
			script: func(p *harness.Peer) { p.Answer("HTTP/1.1 500 No\r\nContent-Length: 100\r\n\r\nhalf") },
			err:    "500", as: "*HandshakeError",
		},
	)
}

// malformations are answers that are no HTTP, or no WebSocket.
func malformations() (rows []hostile) {
	add := func(does, err string, script func(*harness.Peer)) *hostile {
		rows = append(rows, hostile{does: does, script: script, err: err, failure: "dial, remote"})
		return &rows[len(rows)-1]
	}
	switched := func(does, err string, cfg wsnotify.Config, script func(*harness.Peer)) {
		*add(does, err, script) = hostile{
			does: does, script: script, err: err, as: "*HandshakeError", failure: "handshake, remote, status 101", cfg: cfg,
		}
	}
	add("speaks another protocol", "malformed HTTP response", harness.Answers("SSH-2.0-OpenSSH_9.7\r\n"))
	add("sends binary garbage", "malformed HTTP", harness.Answers("\x00\x01\xfe\xff\x1b[31m\x00\r\n\r\n"))
	add("sends a header line that is none", "malformed MIME header", harness.Answers("HTTP/1.1 101 Switching Protocols\r\n\x1b[31mred\r\n\r\n"))
	add("sends a long one of those", "malformed MIME header", harness.Answers("HTTP/1.1 101 Switching Protocols\r\n"+strings.Repeat("x\x80", 100_000)+"\r\n\r\n")).takes = 256 << 10
	rows[len(rows)-1].alloc = 16 << 20
	add("sends a TLS alert to a plain client", "try wss://", harness.Answers("\x15\x03\x01\x00\x02\x02\x46\r\n"))
	add("sends headers of 2 MiB", "exceeded", func(p *harness.Peer) {
		p.Answer("HTTP/1.1 101 Switching Protocols\r\nX: " + strings.Repeat("x", 2<<20))
	}).takes = 1<<20 + 64<<10
	rows[len(rows)-1].alloc = 16 << 20
	add("sends headers of 11 MiB", "exceeded", func(p *harness.Peer) {
		p.Request()
		p.Send("HTTP/1.1 101 Switching Protocols\r\n")
		for line := "X: " + strings.Repeat("x", 1<<10) + "\r\n"; p.Send(line) == nil; {
		}
	}).takes = 1<<20 + 64<<10
	rows[len(rows)-1].alloc = 16 << 20
	add("sends a status line without end", "exceeded", func(p *harness.Peer) {
		p.Request()
		for line := "HTTP/1.1 101 " + strings.Repeat("x", 1<<10); p.Send(line) == nil; {
		}
	}).takes = 1<<20 + 64<<10
	rows[len(rows)-1].alloc = 16 << 20
	add("sends 103 without end", "exceeded", func(p *harness.Peer) {
		p.Request()
		for p.Send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") == nil {
		}
	}).takes = 2 << 20
	rows[len(rows)-1].alloc = 32 << 20

	var none wsnotify.Config
	switched("gives the wrong accept key", "Sec-WebSocket-Accept", none, func(p *harness.Peer) {
		p.Request()
		p.Send(harness.Switching("Sec-WebSocket-Key: another\r\n"))
		p.Silence()
	})
	switched("gives no accept key", "Sec-WebSocket-Accept", none,
		harness.Answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"))
	switched("gives two accept keys", "Sec-WebSocket-Accept", none, harness.Accepts((*harness.Peer).Silence, "Sec-WebSocket-Accept: another"))
	switched("does not upgrade", "Upgrade", none, func(p *harness.Peer) {
		p.Send(strings.Replace(harness.Switching(p.Request()), "Upgrade: websocket\r\n", "", 1))
		p.Silence()
	})
	switched("upgrades to something else", "Upgrade", none, func(p *harness.Peer) {
		p.Send(strings.Replace(harness.Switching(p.Request()), "Upgrade: websocket", "Upgrade: h2c", 1))
		p.Silence()
	})
	switched("says 101 and keeps the connection", "Connection", none, func(p *harness.Peer) {
		p.Send(strings.Replace(harness.Switching(p.Request()), "Connection: Upgrade", "Connection: keep-alive", 1))
		p.Silence()
	})
	const protocol = "Sec-WebSocket-Protocol: "
	v1 := wsnotify.Config{Subprotocols: []string{"v1", "v2"}}
	switched("chooses a subprotocol when none was offered", "v1", none, harness.Accepts((*harness.Peer).Silence, protocol+"v1"))
	switched("chooses a subprotocol that was not offered", "v3", v1, harness.Accepts((*harness.Peer).Silence, protocol+"v3"))
	switched("chooses a subprotocol in another case", "V1", v1, harness.Accepts((*harness.Peer).Silence, protocol+"V1"))
	switched("chooses two subprotocols", "Sec-WebSocket-Protocol", v1, harness.Accepts((*harness.Peer).Silence, protocol+"v1", protocol+"v2"))
	switched("chooses none of the subprotocols", "none of the offered subprotocols", v1, harness.Accepts((*harness.Peer).Silence))
	const extensions = "Sec-WebSocket-Extensions: "
	deflate := wsnotify.Config{Compression: wsnotify.CompressionContextTakeover}
	switched("uses an extension when none was offered", "extensions", none, harness.Accepts((*harness.Peer).Silence, extensions+"permessage-deflate"))
	switched("uses an extension that was not offered", "extensions", deflate, harness.Accepts((*harness.Peer).Silence, extensions+"x-red"))
	switched("uses an extension twice", "extensions", deflate, harness.Accepts((*harness.Peer).Silence, extensions+"permessage-deflate, permessage-deflate"))
	switched("uses an unknown parameter of an extension", "parameter", deflate, harness.Accepts((*harness.Peer).Silence, extensions+"permessage-deflate; x=1"))
	return rows
}

// handshakeBreaks are connections that end before there is a response.
func handshakeBreaks() (rows []hostile) {
	head := "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	for _, stage := range []struct{ when, sent string }{
		{"before the request", "-"},
		{"after the request", ""},
		{"in the status line", "HTTP/1.1 10"},
		{"in the headers", head + "Connec"},
		{"between two headers", head},
	} {
		for _, how := range []string{"FIN", "RST"} {
			row := hostile{does: how + " " + stage.when, failure: "dial, network", err: "EOF"}
			if how == "RST" {
				row.err = "connection reset by peer"
			}
			row.script = func(p *harness.Peer) {
				if stage.sent != "-" {
					p.Request()
					if stage.sent != "" {
						p.Send(stage.sent)
					}
				}
				if how == "RST" {
					p.RST()
				}
			}
			if stage.sent == "-" {
				row.err = "" // the write or the read may see it first
			}
			if stage.when == "in the status line" || stage.when == "in the headers" {
				row.failure, row.err = "dial, remote", "malformed" // half a line is taken for one
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// silences are servers that take their time over the handshake.
func silences() (rows []hostile) {
	for does, script := range map[string]func(*harness.Peer){
		"1 takes the connection and no more": (*harness.Peer).Silence,
		"2 never answers":                    harness.Answers(""),
		"3 answers half of the headers":      harness.Answers("HTTP/1.1 101 Switching Protocols\r\nUpgr"),
		"4 answers a byte a second":          func(p *harness.Peer) { p.Drip(harness.Switching(p.Request()), time.Second) },
		"5 answers 100 Continue, each second": func(p *harness.Peer) {
			for p.Request(); p.Rest(time.Second) && p.Send("HTTP/1.1 100 Continue\r\n\r\n") == nil; {
			}
		},
	} {
		rows = append(rows, hostile{does: does, script: script, within: 10 * time.Second,
			failure: "dial, network", err: "no connection within 10s"})
	}
	sortByName(rows)
	return rows
}

// sortByName sorts by the digit in front of each name, and takes that away.
func sortByName(rows []hostile) {
	for i := range rows {
		for j := i; j > 0 && rows[j].does < rows[j-1].does; j-- {
			rows[j], rows[j-1] = rows[j-1], rows[j]
		}
	}
	for i := range rows {
		rows[i].does = rows[i].does[2:]
	}
}

// bomb is a message of 64 MiB of zeros, deflated.
var bomb = sync.OnceValue(func() []byte {
	size := 64 << 20
	if harness.UnderRace {
		size = 2 << 20
	}
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	for zeros := make([]byte, 64<<10); size > 0; size -= len(zeros) {
		w.Write(zeros)
	}
	w.Flush()
	return reserved(4, binaryOf(strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")))
})
