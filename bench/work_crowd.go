package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify"
)

const (
	crowdSize = 10_000
	crowdBeat = 6 * time.Second
	crowdDown = time.Second
)

// crowd is what many clients in one process cost while nothing happens but their
// heartbeats, and how long it takes until all are back when the server was
// restarted.
func crowd(m *measurement) (Result, error) {
	open := map[string]func(url string) error{ours: crowdWsnotify, "coder": crowdCoder}[m.lib.name]
	if open == nil {
		return Result{Skipped: "nobody has written a heartbeat and a reconnect for it"}, nil
	}
	size, beat, down := crowdSize, crowdBeat, crowdDown
	if m.smokes() {
		size, beat, down = 50, m.Time, 2*m.Time
	}
	if limit := raiseFileLimit(); limit < uint64(size)+100 {
		return Result{Skipped: fmt.Sprintf("only %d files may be open", limit)}, nil
	}
	url := "ws://" + m.Endpoints.Herd
	before := footprint()
	if err := openMany(size, func() (client, error) { return nil, open(url) }); err != nil {
		return Result{}, err
	}
	time.Sleep(beat) // each has sent one
	began, cpu := time.Now(), cpuTime()
	time.Sleep(2 * beat)
	busy := float64(cpuTime()-cpu) / float64(time.Since(began))
	after := footprint()
	handshakes, err := comeBack(m, size, down)
	if err != nil {
		return Result{}, err
	}
	result := perConnection(before, after, size)
	result.Busy, result.Back = busy, float64(slices.Max(handshakes))
	return result, nil
}

// crowdPolicy spreads both alike.
var crowdPolicy = wsnotify.Exponential(100*time.Millisecond, time.Second, -1)

func crowdWsnotify(url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return wsnotify.New(wsnotify.Config{BackOff: crowdPolicy, OnMessage: func(wsnotify.Message) {}}).Connect(ctx, url, "")
}

// crowdCoder is the heartbeat and the reconnect that a user of coder/websocket
// writes himself.
func crowdCoder(url string) error {
	dial := func() (*websocket.Conn, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		conn, _, err := websocket.Dial(ctx, url, nil)
		return conn, err
	}
	conn, err := dial()
	if err != nil {
		return err
	}
	go func() {
		for policy := crowdPolicy(); ; {
			if err == nil {
				policy.Reset()
				go beat(conn)
				for err == nil {
					_, _, err = conn.Read(context.Background())
				}
				conn.CloseNow()
			}
			time.Sleep(policy.NextBackOff())
			conn, err = dial()
		}
	}()
	return nil
}
