package harness

import (
	"bytes"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
)

// Never and Every are policies: no reconnect, and one after each d.
func Never() wsnotify.BackOff { return &backoff.StopBackOff{} }
func Every(d time.Duration) func() wsnotify.BackOff {
	return func() wsnotify.BackOff { return backoff.NewConstantBackOff(d) }
}

// Answers is a script that gives a response to the request and then waits.
func Answers(response string) func(*Peer) {
	return func(p *Peer) { p.Answer(response); p.Silence() }
}

// Accepts is a script that completes the handshake and goes on with then.
func Accepts(then func(*Peer), headers ...string) func(*Peer) {
	return func(p *Peer) { p.Accept(headers...); then(p) }
}

// AcceptsThenStopsReading is Accepts by a server that reads nothing after the request.
func AcceptsThenStopsReading(then func(*Peer)) func(*Peer) {
	return func(p *Peer) {
		request := p.Request()
		p.StopReading()
		p.Send(Switching(request))
		then(p)
	}
}

// Flood sends one frame over and over, as fast as the client takes it.
func Flood(n int, frame []byte) func(*Peer) {
	many := bytes.Repeat(frame, 100)
	if UnderRace {
		n /= 50
	}
	return func(p *Peer) {
		for range n / 100 {
			if _, err := p.Write(many); err != nil {
				return
			}
		}
	}
}

// Disconnect ends the client's connection.
func Disconnect(w *World) error { return w.Client.Disconnect() }

// Enqueue sends more than buffers take.
func Enqueue(w *World) error {
	for range 100 {
		w.Must(w.Client.Enqueue(wsnotify.MessageBinary, make([]byte, 1<<10)))
	}
	return nil
}
