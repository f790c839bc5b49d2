package hostile

import (
	"bytes"
	"encoding/binary"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// openBreaks are connections that end, or stop, without a close frame.
func openBreaks() (rows []hostile) {
	one := text(`{"msgType":"a","content":"b"}`)
	half := text(strings.Repeat("x", 100))[:50]
	begun := frame(false, 1, `{"msgType":`)
	ends := func(does string, deliver int, sent ...[]byte) {
		stream := bytes.Join(sent, nil)
		send := func(p *harness.Peer) {
			if len(stream) > 0 {
				p.Frames(stream)
			}
		}
		rows = append(rows,
			hostile{
				does: "FIN " + does, script: harness.Accepts(send), deliver: deliver, silent: true,
				failure: "open, network", err: "the connection was lost: unexpected EOF", close: "1006",
			},
			hostile{
				does: "RST " + does, script: harness.Accepts(func(p *harness.Peer) { send(p); p.Rest(time.Millisecond); p.RST() }),
				deliver: deliver, silent: true, within: time.Millisecond,
				failure: "open, network", err: "connection reset by peer", close: "1006",
			},
			hostile{
				does: "silence " + does, script: harness.Accepts(func(p *harness.Peer) { send(p); p.Silence() }),
				deliver: deliver, within: 12 * time.Second, as: "ErrHeartbeatTimeout",
				failure: "open, network", err: "no answer to the heartbeat", close: "1006",
			})
	}
	ends("after the handshake", 0)
	ends("after a message", 1, one)
	ends("in a frame's header", 1, one, []byte{0x81, 126, 1})
	ends("in a frame", 1, one, half)
	ends("between two fragments", 1, one, begun)
	ends("in the second fragment", 1, one, begun, frame(true, 0, `"a","content":"b"}`)[:9])
	ends("in a ping", 1, one, ping("hello")[:4])
	ends("in a close frame", 1, one, closeFrame(1000, "good-bye")[:6])
	return append(rows,
		hostile{
			does: "reads no more", act: harness.Enqueue, within: 10 * time.Second, silent: true,
			script: harness.AcceptsThenStopsReading(func(p *harness.Peer) {
				for p.Send(string(pong(""))) == nil && p.Rest(time.Second) { // it lives
				}
			}),
			failure: "open, network", err: "did not take a write within WriteTimeout", close: "1006",
		},
		hostile{
			does: "sends pings and reads no pongs", within: 10 * time.Second, silent: true,
			script: harness.AcceptsThenStopsReading(func(p *harness.Peer) {
				for many := bytes.Repeat(ping(strings.Repeat("x", 125)), 10); ; {
					if _, err := p.Write(many); err != nil || !p.Rest(50*time.Millisecond) {
						return
					}
				}
			}),
			failure: "open, network", err: "did not take a write within WriteTimeout", close: "1006", takes: 4 << 20, alloc: 64 << 20,
		},
	)
}

// violations break the protocol, or the client's limits.
func violations() (rows []hostile) {
	one := text(`{"msgType":"a","content":"b"}`)
	add := func(does, err, code string, sent ...[]byte) *hostile {
		rows = append(rows, hostile{
			does: does, err: err, failure: "open, remote, code " + code, close: "1006", stops: true, deliver: 1,
			script: harness.Accepts(func(p *harness.Peer) {
				p.Frames(append([][]byte{one}, sent...)...)
				p.Silence()
			}),
		})
		return &rows[len(rows)-1]
	}
	huge := func(size uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0x82, 127}, size) }
	add("masks a frame", "masked", "1002", []byte{0x81, 0x80, 0, 0, 0, 0})
	add("sends an unknown opcode", "unknown opcode", "1002", frame(true, 3, ""))
	add("sets a reserved bit", "rsv bits", "1002", reserved(2, one))
	add("sends a compressed frame, and no compression was agreed", "rsv bits", "1002", reserved(4, one))
	add("continues what was not begun", "continuation frame", "1002", frame(true, 0, "x"))
	add("begins a message in the middle of one", "without finishing", "1002", frame(false, 1, "x"), one)
	add("fragments a ping", "fragmented control frame", "1002", frame(false, 9, "x"))
	add("sends a ping of 126 bytes", "invalid length", "1002", ping(strings.Repeat("x", 126)))
	add("encodes a length in more bytes than it needs", "shortest form", "1002", []byte{0x81, 126, 0, 1, 'x'})
	add("sends a negative length", "negative", "1002", huge(1<<64-1))
	add("sends text that is not UTF-8", "not valid UTF-8", "1007", text("\xff"))
	add("announces a message of 2⁶³-1 bytes", "too big", "1009", huge(1<<63-1))
	pour := func(does string, frames ...[]byte) *hostile {
		row := add(does, "too big", "1009")
		row.script = harness.Accepts(func(p *harness.Peer) {
			p.Frames(one)
			for i := range 256 {
				if _, err := p.Write(frames[min(i, len(frames)-1)]); err != nil {
					return
				}
			}
			p.Silence()
		})
		return row
	}
	pour("sends a message of 16 MiB", huge(16<<20), make([]byte, 64<<10))
	pour("sends 16 MiB in fragments", frame(false, 2, ""), frame(false, 0, strings.Repeat("x", 64<<10))).takes = 2 << 20
	deflated := func(does, err, code string, frame func() []byte) *hostile {
		row := add(does, err, code)
		row.cfg.Compression = wsnotify.CompressionNoContextTakeover
		row.script = harness.Accepts(func(p *harness.Peer) { p.Frames(one, frame()); p.Silence() },
			"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover")
		return row
	}
	row := deflated("sends a compressed message of 64 MiB", "too big", "1009", bomb)
	row.alloc, row.takes = 16<<20, 1<<20
	deflated("sends what can't be inflated", "corrupt", "1002", func() []byte { return reserved(4, text("\xff\xff\xff")) })
	add("closes with a reason that is not UTF-8", "reason", "1007", closeFrame(1000, "\xff"))
	add("closes with code 1005", "invalid status code", "1002", closeFrame(1005, ""))
	add("closes with code 999", "invalid status code", "1002", closeFrame(999, ""))
	add("closes with one byte", "too small", "1002", frame(true, 8, "x"))
	return rows
}

// endings have a close frame in them.
func endings() (rows []hostile) {
	one := text(`{"msgType":"a","content":"b"}`)
	add := func(does, code string, stops bool, script func(*harness.Peer)) *hostile {
		rows = append(rows, hostile{
			does: does, script: harness.Accepts(script), failure: "open, remote, code " + code, close: code + " clean",
			as: "CloseError", err: "the server closed the connection with " + code, silent: true, stops: stops,
		})
		return &rows[len(rows)-1]
	}
	add("closes with 1001", "1001", false, func(p *harness.Peer) { p.Frames(closeFrame(1001, "")); p.Closed() })
	add("closes with 1008", "1008", true, func(p *harness.Peer) { p.Frames(closeFrame(1008, "you")); p.Closed() })
	add("closes with 1012", "1012", false, func(p *harness.Peer) { p.Frames(closeFrame(1012, "")); p.Closed() })
	add("closes without a code", "1005", false, func(p *harness.Peer) { p.Frames(frame(true, 8, "")); p.Closed() })
	add("closes with control characters in the reason", "1000", false, func(p *harness.Peer) { p.Frames(closeFrame(1000, "\x1b[31m\r\nlevel=ERROR")); p.Closed() })
	add("closes in the middle of a message", "1000", false, func(p *harness.Peer) { p.Frames(frame(false, 1, "half"), closeFrame(1000, "")); p.Closed() })
	add("closes and goes on sending", "1000", false, func(p *harness.Peer) { p.Frames(closeFrame(1000, ""), one, one); p.Closed() })
	add("closes ten thousand times", "1000", false, harness.Flood(10_000, closeFrame(1000, "")))
	add("closes, and never lets go", "1000", false, func(p *harness.Peer) { p.Frames(closeFrame(1000, "")); p.Silence() })
	add("closes, having read nothing", "1000", false, nil).within = time.Second
	rows[len(rows)-1].script = harness.AcceptsThenStopsReading(func(p *harness.Peer) { p.Frames(closeFrame(1000, "")); p.Rest(time.Hour) })
	add("sends 100,000 pings, and closes", "1000", false, func(p *harness.Peer) {
		harness.Flood(100_000, ping(strings.Repeat("x", 125)))(p)
		p.Frames(closeFrame(1000, ""))
		p.Closed()
	}).takes = 16 << 20
	rows[len(rows)-1].alloc = 128 << 20 // garbage of the transport's, for each
	add("sends 100,000 pongs, and closes", "1000", false, func(p *harness.Peer) {
		harness.Flood(100_000, pong(strings.Repeat("x", 125)))(p)
		p.Frames(closeFrame(1000, ""))
		p.Closed()
	}).takes = 16 << 20
	rows[len(rows)-1].alloc = 128 << 20

	local := func(does, err, code string, within time.Duration, script func(*harness.Peer)) {
		row := add(does, code, false, script)
		row.failure, row.within, row.act = "open, local", within, harness.Disconnect
		row.err, row.as = err, ""
		if err == "" {
			row.failure += ", code " + code
			row.err = "the client is closed"
		} else {
			row.close = "1006"
		}
	}
	local("answers the close frame of `Disconnect`, and never lets go", "", "1000", 0,
		func(p *harness.Peer) { p.Closed(); p.Frames(closeFrame(1000, "")); p.Silence() })
	local("answers it with another code", "", "4000", 0,
		func(p *harness.Peer) { p.Closed(); p.Frames(closeFrame(4000, "")); p.Silence() })
	local("answers it after a flood of messages", "", "1000", 0,
		func(p *harness.Peer) {
			p.Closed()
			harness.Flood(10_000, one)(p)
			p.Frames(closeFrame(1000, ""))
			p.Silence()
		})
	rows[len(rows)-1].takes = 1 << 20
	local("does not answer it", "did not answer the close frame in time", "", 5*time.Second,
		func(p *harness.Peer) { p.Silence() })
	local("answers it with half a frame", "did not answer the close frame in time", "", 5*time.Second,
		func(p *harness.Peer) { p.Closed(); p.Frames(closeFrame(1000, "")[:3]); p.Silence() })
	local("answers it with a flood of messages without end", "did not answer the close frame in time", "", 5*time.Second,
		func(p *harness.Peer) {
			for p.Closed(); p.Rest(10 * time.Millisecond); {
				p.Frames(one)
			}
		})
	local("answers it with FIN", "ended before the close frame was answered", "", 0,
		func(p *harness.Peer) { p.Closed() })
	local("answers it with RST", "ended before the close frame was answered", "", 0,
		func(p *harness.Peer) { p.Closed(); p.RST() })
	local("reads no more, and `Disconnect` is called", "did not answer the close frame in time", "", 5*time.Second, nil)
	rows[len(rows)-1].script = harness.AcceptsThenStopsReading(func(p *harness.Peer) { p.Rest(time.Hour) })
	return rows
}
