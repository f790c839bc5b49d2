package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/wsnotify/wsnotify"
)

// sender takes messages from the queue and gives them to the client, which keeps
// them until the server has confirmed them. Only then is the queue told. So a
// message is sent at least once, in order, and its id tells the server that it
// has it already.
type sender struct {
	b      *broker
	token  uint64
	client *wsnotify.Client
	log    *slog.Logger

	taking context.Context // ends with stop
	stop   context.CancelFunc
	opened int // consumers so far
	pull   jetstream.MessagesContext
	last   uint64 // what the consumer has given, as it counts

	mu      sync.Mutex
	waiting map[string]jetstream.Msg // by the id under which the server confirms it
}

// outgoing is a message as the server gets it.
type outgoing struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// confirmID is Outbox.ConfirmID.
func confirmID(m wsnotify.Message) string {
	var out outgoing
	if json.Unmarshal(m.Data, &out) != nil {
		return ""
	}
	return out.ID
}

func openSender(held context.Context, b *broker, token uint64, log *slog.Logger) (*sender, error) {
	s := &sender{b: b, token: token, log: log, waiting: map[string]jetstream.Msg{}}
	s.taking, s.stop = context.WithCancel(held)
	if err := s.open(held); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// open makes a consumer in the place of the one that is there. All that was not
// acknowledged comes to it, at once and in order: a durable consumer that is
// handed on would give it after AckWait, behind newer messages. A queue has one
// consumer at a time, and the stream sees to that, so of two holds that begin at
// once one is refused.
func (s *sender) open(ctx context.Context) error {
	stream, err := s.b.js.Stream(ctx, s.b.queue())
	if err != nil {
		return err
	}
	names := stream.ConsumerNames(ctx)
	for name := range names.Name() {
		var of uint64
		if _, err := fmt.Sscanf(name, "sender-%d-", &of); err != nil {
			return fmt.Errorf("the queue %s has a consumer %s, expected those of replicas only: remove it", s.b.queue(), name)
		}
		if of > s.token {
			return fmt.Errorf("%w: there is a later hold", errLost)
		}
		if err := stream.DeleteConsumer(ctx, name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			return err
		}
	}
	if err := names.Err(); err != nil {
		return err
	}
	s.opened++
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		Durable:       fmt.Sprintf("sender-%d-%d", s.token, s.opened),
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
		MaxAckPending: 512, // fewer than the outbox takes
	})
	if err != nil {
		return err
	}
	s.last = 0
	s.pull, err = consumer.Messages(jetstream.PullMaxMessages(128), jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullExpiry/4))
	return err
}

// pullExpiry is short, so that a request that was lost with its server is soon
// made again.
const pullExpiry = 2 * time.Second

// run ends with stop, or with errLost when a later hold has removed the consumer.
func (s *sender) run(held context.Context) error {
	defer func() { s.pull.Stop() }()
	for {
		msg, err := s.pull.Next(jetstream.NextContext(s.taking))
		switch {
		case s.taking.Err() != nil:
			return nil
		case err == nil:
			err = s.take(held, msg)
			if err == nil {
				continue
			} else if err != errGap {
				return err
			}
			s.pull.Stop()
			if err := s.open(held); err != nil {
				return fmt.Errorf("the queue once more: %w", err)
			}
		case errors.Is(err, jetstream.ErrConsumerDeleted), errors.Is(err, jetstream.ErrConsumerNotFound):
			return fmt.Errorf("%w: the consumer of the queue is gone", errLost)
		default: // a server is away; it is asked again
			if err := pause(held); err != nil {
				return err
			}
		}
	}
}

// errGap is a message that the consumer has given and that did not arrive, as when
// a server dies. It would come again after AckWait, behind newer ones.
var errGap = errors.New("a message of the queue is missing")

func (s *sender) take(ctx context.Context, msg jetstream.Msg) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if meta.Sequence.Consumer != s.last+1 {
		return errGap
	}
	s.last++
	id := strconv.FormatUint(meta.Sequence.Stream, 10) // never used again in this stream
	s.mu.Lock()
	_, again := s.waiting[id]
	s.waiting[id] = msg
	s.mu.Unlock()
	if again {
		return nil // it is in the outbox
	}
	data, err := json.Marshal(outgoing{ID: id, Text: string(msg.Data())})
	if err != nil {
		return err
	}
	for {
		err := s.client.Enqueue(wsnotify.MessageText, data)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, wsnotify.ErrClosed):
			return nil // the next holder gets it
		case errors.Is(err, wsnotify.ErrOutboxFull): // of bytes
			if err := pause(ctx); err != nil {
				return err
			}
		default: // it can never be sent
			s.log.Error("not sent", "id", id, "err", err)
			s.forget(id)
			return msg.Term()
		}
	}
}

// confirmed is told by the server that it has a message. If the acknowledgement is
// lost, the queue gives the message again, and the server confirms it again.
func (s *sender) confirmed(id string) {
	s.client.Confirm(id)
	if msg := s.forget(id); msg != nil {
		if err := msg.Ack(); err != nil {
			s.log.Warn("not acknowledged", "id", id, "err", err)
		}
	}
}

func (s *sender) forget(id string) jetstream.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	msg := s.waiting[id]
	delete(s.waiting, id)
	return msg
}
