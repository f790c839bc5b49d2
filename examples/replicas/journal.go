package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// journal appends to the stream of events, as long as no later holder has begun
// to. Each append expects the stream to end where this journal knows that it
// ends, and the stream checks that in the same step in which it stores. Who begins
// a hold appends a fence first. From then on nothing that an earlier holder
// sends can be stored, whenever it arrives: the end that it expects is gone.
//
// For that the end must be known, not foreseen. To send ten messages that each
// expect the one before, without waiting, would let the fourth of a stopped
// process in when its successor happens to have brought the stream to just that
// number. So many messages at once are one atomic batch, with one expectation.
type journal struct {
	b     *broker
	queue chan event
	last  uint64        // sequence of the last message of the stream
	since *atomic.Int64 // the last event that is stored
}

const (
	batchSize     = 256
	appendTimeout = 2 * time.Second // of one try
)

// openJournal appends the fence. It is errLost if there is one of a later hold.
// since is the position that the lease knows, and is kept up to date.
func openJournal(ctx context.Context, b *broker, token uint64, since *atomic.Int64) (*journal, error) {
	j := &journal{b: b, queue: make(chan event, batchSize), since: since}
	stream, err := b.js.Stream(ctx, b.events())
	if err != nil {
		return nil, err
	}
	for j.last == 0 {
		if j.last, err = j.fence(ctx, stream, token); err != nil {
			return nil, fmt.Errorf("the fence: %w", err)
		}
	}
	// The last event that was stored is a later position than the lease's, which is
	// written less often. The lease's is for a stream that was emptied.
	if m, err := stream.GetLastMsgForSubject(ctx, b.prefix+".event.*"); err == nil {
		var ev event
		if err := json.Unmarshal(m.Data, &ev); err != nil {
			return nil, err
		}
		raise(since, ev.ID)
	} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, err
	}
	return j, nil
}

// fence returns the sequence of the fence; 0 if it has to be tried again.
func (j *journal) fence(ctx context.Context, stream jetstream.Stream, token uint64) (uint64, error) {
	before := uint64(0) // sequence of the latest fence
	m, err := stream.GetLastMsgForSubject(ctx, j.b.fenceSubject())
	if err == nil {
		before = m.Sequence
		latest, err := strconv.ParseUint(string(m.Data), 10, 64)
		switch {
		case err != nil:
			return 0, err
		case latest == token: // the acknowledgement had been lost
			return m.Sequence, nil
		case latest > token:
			return 0, fmt.Errorf("%w: there is a later hold", errLost)
		}
	} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, err
	}
	// Of two who begin at once the stream takes one. The other looks again.
	ack, err := j.b.js.Publish(ctx, j.b.fenceSubject(), strconv.AppendUint(nil, token, 10),
		jetstream.WithExpectLastSequencePerSubject(before))
	if err != nil {
		return 0, pause(ctx)
	}
	return ack.Sequence, nil
}

// run stores what is put into the queue, until that is closed. It is errLost when
// there is a later holder.
func (j *journal) run(ctx context.Context) error {
	for first := range j.queue {
		batch := append(make([]event, 0, batchSize), first)
		for len(batch) < cap(batch) && len(j.queue) > 0 {
			batch = append(batch, <-j.queue)
		}
		if err := j.append(ctx, batch); err != nil {
			return err
		}
		for _, ev := range batch {
			raise(j.since, ev.ID)
		}
	}
	return nil
}

func (j *journal) append(ctx context.Context, batch []event) error {
	msgs := make([]*nats.Msg, len(batch))
	for i, ev := range batch {
		data, err := json.Marshal(ev)
		if err != nil {
			return err
		}
		msgs[i] = nats.NewMsg(j.b.eventSubject(ev.User))
		msgs[i].Data = data
		msgs[i].Header.Set(jetstream.MsgIDHeader, strconv.FormatInt(ev.ID, 10))
	}
	if len(msgs) > 1 {
		last, err := j.atomically(ctx, msgs)
		if err == nil {
			j.last = last
			return nil
		}
		if isCode(err, jetstream.JSErrCodeStreamWrongLastSequence) {
			return errLost
		}
	}
	// One after another, also when it is not known what became of a batch, or
	// when a part of it had been stored before.
	for _, m := range msgs {
		if err := j.one(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// one appends a message, and tries until it knows that the stream has it.
func (j *journal) one(ctx context.Context, m *nats.Msg) error {
	for {
		try, cancel := context.WithTimeout(ctx, appendTimeout)
		ack, err := j.b.js.PublishMsg(try, m, jetstream.WithExpectLastSequence(j.last))
		cancel()
		switch {
		case err == nil && !ack.Duplicate:
			j.last = ack.Sequence
			return nil
		case err == nil && ack.Sequence <= j.last: // a holder before us had stored it
			return nil
		case err == nil && ack.Sequence == j.last+1:
			// An earlier try of ours: a later holder would have put its fence there.
			j.last = ack.Sequence
			return nil
		case err == nil, isCode(err, jetstream.JSErrCodeStreamWrongLastSequence):
			return errLost
		}
		if err := pause(ctx); err != nil { // the broker is away, or elects a leader
			return err
		}
	}
}

// atomically appends all messages or none. It returns the sequence of the last.
func (j *journal) atomically(ctx context.Context, msgs []*nats.Msg) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	id := nuid.Next()
	for i, m := range msgs {
		part := nats.NewMsg(m.Subject)
		part.Data = m.Data
		part.Header.Set(jetstream.MsgIDHeader, m.Header.Get(jetstream.MsgIDHeader))
		part.Header.Set("Nats-Batch-Id", id)
		part.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i == 0 {
			part.Header.Set(jetstream.ExpectedLastSeqHeader, strconv.FormatUint(j.last, 10))
		}
		if i < len(msgs)-1 {
			if err := j.b.nc.PublishMsg(part); err != nil {
				return 0, err
			}
			continue
		}
		part.Header.Set("Nats-Batch-Commit", "1")
		answer, err := j.b.nc.RequestMsgWithContext(ctx, part)
		if err != nil {
			return 0, err
		}
		var ack struct {
			Error    *jetstream.APIError `json:"error"`
			Sequence uint64              `json:"seq"`
		}
		if err := json.Unmarshal(answer.Data, &ack); err != nil {
			return 0, err
		}
		if ack.Error != nil {
			return 0, ack.Error
		}
		last = ack.Sequence
	}
	return last, nil
}

// raise moves a position forward: what comes twice must not set it back. Only one
// goroutine moves it.
func raise(position *atomic.Int64, id int64) {
	position.Store(max(position.Load(), id))
}

// pause waits a moment before another try.
func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(100 * time.Millisecond):
		return nil
	}
}
