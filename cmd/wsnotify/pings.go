package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/wsnotify/wsnotify"
)

// pings asks the server for signs of life, and prints how long each took, until
// ctx ends. It stands beside the heartbeat, which prints nothing.
func (o *connection) pings(ctx context.Context, c *wsnotify.Client, say func(string, ...any)) {
	if !o.showPings || o.heartbeat <= 0 {
		return
	}
	tick := time.NewTicker(o.heartbeat)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !c.IsConnected() {
			continue
		}
		waiting, cancel := context.WithTimeout(ctx, o.heartbeat)
		rtt, err := c.Ping(waiting)
		cancel()
		switch {
		case err == nil:
			say("pong after %v", roundTrip(rtt))
		case ctx.Err() == nil:
			say("no pong: %s", plain(err))
		}
	}
}

// serverPings has the pings of the server printed by say, if the flags want that. They
// are in what the client records, of which the file of --record gets what its
// flags want.
func (o *connection) serverPings(say func(string, ...any), cfg *wsnotify.Config) {
	if o.showPings {
		cfg.Record = &pingLog{say: say, file: cfg.Record, frames: cfg.RecordPings}
		cfg.RecordPings = true
	}
}

// pingLog is written the lines of a recording.
type pingLog struct {
	say    func(string, ...any)
	file   io.Writer // of --record; nil without it
	frames bool      // which gets the frames of pings, too
}

func (l *pingLog) Write(p []byte) (int, error) {
	var rest []byte
	for line := range bytes.Lines(p) {
		ping := bytes.Contains(line, []byte(`"type":"ping"`))
		if ping {
			l.print(line)
		}
		if l.frames || !ping && !bytes.Contains(line, []byte(`"type":"pong"`)) {
			rest = append(rest, line...)
		}
	}
	if l.file != nil && len(rest) > 0 {
		if _, err := l.file.Write(rest); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (l *pingLog) print(line []byte) {
	var e struct {
		Dir  string
		Data []byte
	}
	if json.Unmarshal(line, &e) != nil || e.Dir != "in" {
		return
	}
	if len(e.Data) == 0 {
		l.say("ping from the server")
		return
	}
	l.say("ping from the server: %q", e.Data)
}
