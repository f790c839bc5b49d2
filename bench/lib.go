package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
)

// library is one of those that are compared.
type library struct {
	name   string
	module string
	open   func(target, *handlers) (client, error)
}

// ours is the library that the others are the peers of.
const ours = "wsnotify"

var libraries = []library{
	{ours, "github.com/wsnotify/wsnotify", openWsnotify},
	{"coder", "github.com/coder/websocket", openCoder},
	{"gorilla", "github.com/gorilla/websocket", openGorilla},
	{"gws", "github.com/lxzan/gws", openGws},
	{"gobwas", "github.com/gobwas/ws", openGobwas},
}

func libraryNamed(name string) *library {
	for i := range libraries {
		if libraries[i].name == name {
			return &libraries[i]
		}
	}
	return nil
}

// target is what a client connects to.
type target struct {
	url   string
	tls   *tls.Config // nil for ws
	calls *calls      // counts the calls to the socket; nil for the library's own dialer
}

// client is an open connection. Its methods may be called concurrently: where
// the library demands one writer, there is a mutex, as its users have.
type client interface {
	// send returns once the message is in the kernel.
	send(p []byte) error
	// enqueue may return earlier, and flush waits for what it left. Who has
	// no such call sends.
	enqueue(p []byte) error
	flush() error
	close()
}

// handlers say what is done with what comes. At most one of the first four is
// set; with none, nothing is read.
type handlers struct {
	raw          func([]byte)
	keeps        bool // what raw is given is its own to keep, as ours is by default
	reuse        bool // ours takes it back, as gws does by default
	notification func(msgType, content string)
	resume       bool        // ours keeps positions, from the field seq
	order        func(order) // peers take two steps: envelope, then content
	orderOnce    func(order) // peers decode all at once, as if there were one type only
	deflate      compression
	window       int    // of compression, in bits; 0: 15
	beats        bool   // coder's connection sends heartbeats too, and watches for life
	ended        func() // the connection, of a peer
	opened       func() // a connection, of ours
}

// reads reports whether there is anybody to read for.
func (h *handlers) reads() bool {
	return h.raw != nil || h.notification != nil || h.order != nil || h.orderOnce != nil
}

// deliver is what a user of a peer writes into his read loop.
func (h *handlers) deliver() func([]byte) {
	switch {
	case h.notification != nil:
		return func(p []byte) {
			var n struct {
				MsgType string `json:"msgType"`
				Content string `json:"content"`
			}
			must(json.Unmarshal(p, &n))
			h.notification(n.MsgType, n.Content)
		}
	case h.order != nil:
		return func(p []byte) {
			var n struct {
				MsgType string          `json:"msgType"`
				Content json.RawMessage `json:"content"`
			}
			must(json.Unmarshal(p, &n))
			if n.MsgType == orderType {
				var o order
				must(json.Unmarshal(n.Content, &o))
				h.order(o)
			}
		}
	case h.orderOnce != nil:
		return func(p []byte) {
			var n struct {
				MsgType string `json:"msgType"`
				Content order  `json:"content"`
			}
			must(json.Unmarshal(p, &n))
			if n.MsgType == orderType {
				h.orderOnce(n.Content)
			}
		}
	}
	return h.raw
}

// must ends a measurement that has become wrong.
func must(err error) {
	if err != nil {
		panic(fmt.Sprint("bench: ", err))
	}
}
