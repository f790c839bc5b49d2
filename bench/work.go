package main

import "fmt"

// work is something that every library is made to do.
type work struct {
	name    string
	section section
	about   string
	run     func(*measurement) (Result, error)
	goals   []goal
	only    string // the one library that does it; empty for all
	once    bool   // one round is enough: memory does not vary
}

// section says which figures of a work count.
type section int

const (
	sending section = iota
	keeping
	receiving
	latency
	idling
	herding
	crowding
	deflating
	sharing
)

// goal is a ratio that ours should reach, in the figure of its section.
type goal struct {
	against string // a library; empty for the fastest peer
	work    string // that the other one does; empty for the same
	atLeast float64
	atMost  float64
}

var works = []work{
	{name: "enqueue-64-1", run: send(64, 1, queued), goals: []goal{{atLeast: 30}},
		about: "messages of 64 bytes from one goroutine, then a flush"},
	{name: "enqueue-64-16", run: send(64, 16, queued), goals: []goal{{atLeast: 30}},
		about: "from 16 goroutines"},
	{name: "enqueue-4096-16", run: send(4096, 16, queued), goals: []goal{{atLeast: 4}},
		about: "of 4 KiB from 16 goroutines"},
	{name: "send-64-1", run: send(64, 1, waiting), goals: []goal{{against: "gws", atLeast: 1}},
		about: "each call returns when its frame is in the kernel"},
	{name: "send-64-16", run: send(64, 16, waiting), goals: []goal{{atLeast: 3}},
		about: "from 16 goroutines"},
	{name: "enqueue-64-16-tls", run: send(64, 16, queued|encrypted),
		about: "over wss"},
	{name: "enqueue-4096-16-tls", run: send(4096, 16, queued|encrypted),
		about: "over wss"},
	{name: "send-64-16-tls", run: send(64, 16, waiting|encrypted),
		about: "over wss"},

	{name: "confirmed-64-1", section: keeping, run: keep(1, ""), only: ours, goals: []goal{{against: ours, work: "enqueue-64-1", atLeast: 0.5}},
		about: "as enqueue-64-1, with an id in each message, which the server sends back: ours alone"},
	{name: "confirmed-64-16", section: keeping, run: keep(16, ""), only: ours, goals: []goal{{against: ours, work: "enqueue-64-16", atLeast: 0.5}},
		about: "from 16 goroutines"},
	{name: "spool-64-1", section: keeping, run: keep(1, "spool"), only: ours,
		about: "the same, and kept in a file until it is confirmed; it is in the folder for temporary files"},
	{name: "spool-64-16", section: keeping, run: keep(16, "spool"), only: ours,
		about: "from 16 goroutines"},
	{name: "spool-64-256", section: keeping, run: keep(256, "spool"), only: ours,
		about: "from 256 goroutines"},
	{name: "sync", section: keeping, run: syncAlone, only: ours,
		about: "a page of 4 KiB written and synced over and over, in the same folder"},

	{name: "request-16", section: keeping, run: request(false), only: ours, goals: []goal{{against: ours, work: "request-by-hand-16", atLeast: 1}},
		about: "Request from 16 goroutines to a server that echoes; in messages a second"},
	{name: "request-by-hand-16", section: keeping, run: request(true), only: ours,
		about: "the same by Send, a map of channels and encoding/json"},

	{name: "recv-notification-120", section: receiving, run: receiveNotification(false), goals: []goal{{against: "gws", atLeast: 4}},
		about: "a JSON notification of 120 bytes, read, parsed and handed to a function"},
	{name: "recv-numbered-120", section: receiving, run: receiveNumbered(false), only: ours,
		about: "the same with numbers that go up by one"},
	{name: "recv-resume-120", section: receiving, run: receiveNumbered(true), only: ours, goals: []goal{{against: ours, work: "recv-numbered-120", atLeast: 0.83}},
		about: "the same with Resume, by consecutive numbers"},
	{name: "recv-typed-120", section: receiving, run: receiveTyped,
		about: "with an object as content; peers decode the envelope, then the content"},
	{name: "recv-typed-120-once", section: receiving, run: receiveTypedOnce, goals: []goal{{against: "gws", atLeast: 2}},
		about: "the same; peers decode both at once, as if there were one type only"},
	{name: "recv-raw-120", section: receiving, run: receiveRaw(120, &handlers{}),
		about: "the bytes of a message handed to a function"},
	{name: "recv-raw-4096", section: receiving, run: receiveRaw(4096, &handlers{}),
		about: "of 4 KiB"},
	{name: "recv-raw-65536", section: receiving, run: receiveRaw(65536, &handlers{}),
		about: "of 64 KiB"},
	{name: "recv-reuse-120", section: receiving, run: receiveRaw(120, &handlers{reuse: true}), goals: []goal{{against: "gws", atLeast: 1.7}},
		about: "the same of 120 bytes with Inbox.Reuse: the memory is used again, as gws has it by default"},
	{name: "recv-reuse-4096", section: receiving, run: receiveRaw(4096, &handlers{reuse: true}), goals: []goal{{against: "gws", atLeast: 1.7}},
		about: "of 4 KiB, likewise"},
	{name: "recv-reuse-65536", section: receiving, run: receiveRaw(65536, &handlers{reuse: true}), goals: []goal{{against: "gws", atLeast: 1}},
		about: "of 64 KiB, likewise"},
	{name: "recv-reuse-notification-120", section: receiving, run: receiveNotification(true),
		about: "a JSON notification of 120 bytes with Inbox.Reuse"},
	{name: "recv-kept-120", section: receiving, run: receiveRaw(120, &handlers{keeps: true}), goals: []goal{{against: "gws", atLeast: 1.5}},
		about: "of 120 bytes in memory that the function may keep: gws is not given it back"},
	{name: "recv-kept-4096", section: receiving, run: receiveRaw(4096, &handlers{keeps: true}), goals: []goal{{against: "gws", atLeast: 1.5}},
		about: "of 4 KiB, likewise"},
	{name: "recv-kept-65536", section: receiving, run: receiveRaw(65536, &handlers{keeps: true}),
		about: "of 64 KiB, likewise"},

	{name: "echo-64", section: latency, run: echo(false), goals: []goal{{against: "coder", atMost: 1}},
		about: "a message of 64 bytes there and back; the handler sends the next"},
	{name: "echo-64-tls", section: latency, run: echo(true), goals: []goal{{against: "coder", atMost: 0.9}},
		about: "over wss"},
	{name: "dial", section: latency, run: dial(false), goals: []goal{{against: "gobwas", atMost: 1.2}},
		about: "from the call to an open connection"},
	{name: "dial-tls", section: latency, run: dial(true), goals: []goal{{against: "gobwas", atMost: 1.2}},
		about: "over wss, each with a whole TLS handshake"},
	{name: "reconnect", section: latency, run: reconnect, goals: []goal{{against: "coder", work: "dial", atMost: 2}},
		about: "from the server's drop to an open connection, without back-off"},

	{name: "idle-1000", section: idling, run: idle(1000, false), once: true,
		about: "1,000 connections on which nothing happens but heartbeats of ours"},
	{name: "idle-1000-deflate", section: idling, run: idleDeflated(1000, 15), once: true,
		about: "1,000 with compression, both windows full"},
	{name: "idle-1000-deflate-12", section: idling, run: idleDeflated(1000, 12), once: true,
		about: "with windows of 4 KiB"},
	{name: "idle-5000", section: idling, run: idle(5000, false), once: true,
		about: "5,000"},
	{name: "idle-1000-beating", section: idling, run: idle(1000, true), once: true, goals: []goal{{against: "coder", atMost: 0.9}},
		about: "1,000; coder's with a heartbeat written by hand"},
	{name: "herd", section: herding, run: herdWork, only: ours, once: true, goals: []goal{{atMost: 3}},
		about: "2,000 clients with Exponential come back to a server that was away for 5 s"},
	{name: "idle-10000", section: crowding, run: crowd, once: true, goals: []goal{{against: "coder", atMost: 0.8}},
		about: "10,000 clients in one process with heartbeats, and back after a restart of 1 s; coder's with both written by hand"},

	{name: "separate-1000", section: sharing, run: shared(1000, false), only: ours, once: true,
		about: "1,000 clients over TLS, each with a connection of its own"},
	{name: "shared-1000", section: sharing, run: shared(1000, true), only: ours, once: true, goals: []goal{{against: ours, work: "separate-1000", atMost: 0.25}},
		about: "1,000 clients as streams of one HTTP/2 connection"},
	{name: "separate-5000", section: sharing, run: shared(5000, false), only: ours, once: true,
		about: "5,000 with connections"},
	{name: "shared-5000", section: sharing, run: shared(5000, true), only: ours, once: true, goals: []goal{{against: ours, work: "separate-5000", atMost: 0.25}},
		about: "5,000 with streams"},
}

func init() {
	goals := map[string][]goal{
		"recv-deflate-120": {{against: "gws", atMost: 0.35}}, "recv-deflate-1024": {{against: "gws", atMost: 1}}, "recv-deflate-16384": {{against: "gws", atMost: 1.3}},
		"enqueue-deflate-120": {{against: "coder", atMost: 0.25}}, "enqueue-deflate-1024": {{against: "coder", atMost: 0.7}},
	}
	for _, what := range []string{"recv", "enqueue", "send"} {
		for _, how := range []compression{takeover, alone} {
			for _, size := range []int{120, 1024, 16 << 10} {
				w := work{name: fmt.Sprintf("%s-deflate-%d", what, size), section: deflating}
				w.about = fmt.Sprintf("notifications of %d bytes in a message, each may refer to those before it", size)
				if how == alone {
					w.name += "-alone"
					w.about = fmt.Sprintf("of %d bytes, each compressed alone", size)
				}
				w.goals = goals[w.name]
				switch what {
				case "recv":
					w.run = receiveDeflated(size, how)
				case "enqueue":
					w.run = sendDeflated(size, how, queued)
				default:
					w.run = sendDeflated(size, how, waiting)
				}
				works = append(works, w)
			}
		}
	}
}

func workNamed(name string) *work {
	for i := range works {
		if works[i].name == name {
			return &works[i]
		}
	}
	return nil
}
