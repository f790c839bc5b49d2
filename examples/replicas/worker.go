package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
)

// work handles events until ctx ends. Any number of processes may do that at once.
// An event is acknowledged when handle has returned, so one that was being handled
// in a process that died is handled again by another.
func work(ctx context.Context, b *broker, log *slog.Logger, handle func(event)) error {
	for n := range partitions {
		consumer, err := b.js.Consumer(ctx, b.events(), fmt.Sprintf("worker-%d", n))
		if err != nil {
			return err
		}
		consuming, err := consumer.Consume(func(m jetstream.Msg) {
			var ev event
			if err := json.Unmarshal(m.Data(), &ev); err != nil {
				log.Error("not an event", "data", string(m.Data()), "err", err)
				m.Term()
				return
			}
			handle(ev)
			if err := m.Ack(); err != nil {
				log.Warn("not acknowledged, and so handled again", "event", ev.ID, "err", err)
			}
		}, jetstream.PullMaxMessages(2), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullExpiry/4))
		if err != nil {
			return err
		}
		defer func() {
			consuming.Drain()
			<-consuming.Closed()
		}()
	}
	<-ctx.Done()
	return nil
}
