package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// event is the content of a notification. The server numbers them, so that the
// number of one is also a position to go on from.
type event struct {
	ID   int64  `json:"id"`
	User string `json:"user"`
	Text string `json:"text"`
}

// broker is NATS as the replicas use it: a stream of the events that came, a
// queue of the messages that are to be sent, and a bucket with the lease. All
// names begin with prefix.
type broker struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	prefix string
}

// partitions is how many events can be handled at once. Those of one user are
// always in the same partition, and so handled one after another.
const partitions = 8

func (b *broker) events() string { return b.prefix + "-events" }
func (b *broker) queue() string  { return b.prefix + "-out" }
func (b *broker) bucket() string { return b.prefix + "-lease" }

func (b *broker) fenceSubject() string { return b.prefix + ".fence" }
func (b *broker) outSubject() string   { return b.prefix + ".out" }

// eventSubject has no name of a user in it, which may hold dots and stars.
func (b *broker) eventSubject(user string) string {
	h := fnv.New32a()
	h.Write([]byte(user))
	return b.partition(int(h.Sum32() % partitions))
}

func (b *broker) partition(n int) string { return fmt.Sprintf("%s.event.%d", b.prefix, n) }

func connect(url, prefix string) (*broker, error) {
	nc, err := nats.Connect(url,
		nats.MaxReconnects(-1), nats.ReconnectWait(250*time.Millisecond),
		// Whoever needs an answer waits for it. What would be kept for the next
		// connection instead comes after somebody has given up on it.
		nats.ReconnectBufSize(-1))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", url, err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &broker{nc: nc, js: js, prefix: prefix}, nil
}

// setUp makes the streams, the bucket and the consumers, or finds that they are
// there. copies is on how many servers each is kept: 1 or 3.
func (b *broker) setUp(ctx context.Context, copies int) error {
	_, err := b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:               b.events(),
		Subjects:           []string{b.prefix + ".event.*", b.fenceSubject()},
		MaxAge:             24 * time.Hour,
		Duplicates:         2 * time.Minute, // how long a Nats-Msg-Id is remembered
		AllowAtomicPublish: true,            // NATS 2.12
		Replicas:           copies,
	})
	if err != nil {
		return fmt.Errorf("the stream %s: %w", b.events(), err)
	}
	_, err = b.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:      b.queue(),
		Subjects:  []string{b.outSubject()},
		Retention: jetstream.WorkQueuePolicy, // a message is gone once it is acknowledged
		Replicas:  copies,
	})
	if err != nil {
		return fmt.Errorf("the stream %s: %w", b.queue(), err)
	}
	_, err = b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: b.bucket(), Replicas: copies})
	if err != nil {
		return fmt.Errorf("the bucket %s: %w", b.bucket(), err)
	}
	for n := range partitions {
		_, err := b.js.CreateOrUpdateConsumer(ctx, b.events(), jetstream.ConsumerConfig{
			Durable:       fmt.Sprintf("worker-%d", n),
			FilterSubject: b.partition(n),
			AckPolicy:     jetstream.AckExplicitPolicy,
			AckWait:       5 * time.Second,
			MaxAckPending: 1, // the next comes when this one is done: that is what keeps the order
		})
		if err != nil {
			return fmt.Errorf("the consumer of partition %d: %w", n, err)
		}
	}
	return nil
}

// tearDown removes all of it.
func (b *broker) tearDown(ctx context.Context) {
	b.js.DeleteStream(ctx, b.events())
	b.js.DeleteStream(ctx, b.queue())
	b.js.DeleteKeyValue(ctx, b.bucket())
}

// send leaves a message for the server. Any process may do that; the replica
// that holds the socket sends it, and the queue keeps it until the server has
// confirmed it. With the same id it may be called again after an error: the queue
// takes it once.
func (b *broker) send(ctx context.Context, id, text string) error {
	_, err := b.js.Publish(ctx, b.outSubject(), []byte(text), jetstream.WithMsgID(id))
	return err
}
