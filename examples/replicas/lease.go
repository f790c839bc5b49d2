package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// errLost ends a hold: somebody else has the lease, or may have it.
var errLost = errors.New("the lease is lost")

// lease is a key in a bucket that one replica at a time holds. Each renewal
// writes it with the revision of the one before, so only its holder can. Others
// take it when they have seen no new revision for ttl on their own clock: no two
// machines need to agree on the time.
//
// A lease alone fences nobody. A process that was stopped does not know that its
// time is over, and what it does next may already be on its way. What keeps it
// from storing anything is the stream, see journal.
type lease struct {
	kv   jetstream.KeyValue
	name string // of the replica
	ttl  time.Duration

	run   string    // tells this hold from all others
	token uint64    // the revision with which it began: later holds have higher ones
	rev   uint64    // the latest
	until time.Time // others may take it from then on

	since atomic.Int64 // the last event that is stored; kept beside the lease
}

const leaseKey = "holder"

// claim is the value. The position stands in it, so that who loses the lease can't
// set it back.
type claim struct {
	Holder string `json:"holder"` // empty: given up
	Run    string `json:"run"`    // of that holder
	Since  int64  `json:"since"`
}

// acquire waits until this replica has the lease.
func acquire(ctx context.Context, kv jetstream.KeyValue, name string, ttl time.Duration) (*lease, error) {
	l := &lease{kv: kv, name: name, ttl: ttl, run: nuid.Next()}
	var last claim
	var seen time.Time // when rev was first seen
	for {
		began := time.Now()
		entry, err := l.get(ctx, &last)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			seen = began
			if l.rev, err = kv.Create(ctx, leaseKey, l.value(l.name)); err == nil {
				return l.begin(began), nil
			}
		case err != nil:
		case last.Run == l.run && last.Holder != "": // the answer of an Update had been lost
			l.rev = entry.Revision()
			return l.begin(seen), nil
		case entry.Revision() != l.rev:
			l.rev, seen = entry.Revision(), began
			l.since.Store(last.Since)
		}
		if err == nil && (last.Holder == "" || time.Since(seen) >= ttl) {
			// Of several who try, one succeeds. One that was stopped since it has
			// looked does not.
			seen = time.Now()
			if rev, err := kv.Update(ctx, leaseKey, l.value(l.name), l.rev); err == nil {
				l.rev = rev
				return l.begin(seen), nil
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(ttl/20 + rand.N(ttl/20)):
		}
	}
}

func (l *lease) begin(at time.Time) *lease {
	l.token, l.until = l.rev, at.Add(l.ttl)
	return l
}

func (l *lease) value(holder string) []byte {
	value, _ := json.Marshal(claim{Holder: holder, Run: l.run, Since: l.since.Load()})
	return value
}

func (l *lease) get(ctx context.Context, c *claim) (jetstream.KeyValueEntry, error) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl)
	defer cancel()
	entry, err := l.kv.Get(ctx, leaseKey)
	if err != nil {
		return nil, err
	}
	*c = claim{}
	if err := json.Unmarshal(entry.Value(), c); err != nil {
		return nil, fmt.Errorf("the lease holds %q: %w", entry.Value(), err)
	}
	return entry, nil
}

// keep renews the lease, with the position as it is then, until ctx ends or the
// lease is lost.
func (l *lease) keep(ctx context.Context) error {
	for wait := l.ttl / 3; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		began := time.Now()
		if began.After(l.until) {
			return fmt.Errorf("%w: it was not renewed for %v", errLost, l.ttl)
		}
		wait = l.ttl / 3
		if err := l.renew(ctx, l.value(l.name)); err == nil {
			l.until = began.Add(l.ttl)
		} else if errors.Is(err, errLost) {
			return err
		} else {
			wait = l.ttl / 20 // the broker may be about to elect a leader
		}
	}
}

func (l *lease) renew(ctx context.Context, value []byte) error {
	ctx, cancel := context.WithDeadline(ctx, l.until)
	defer cancel()
	rev, err := l.kv.Update(ctx, leaseKey, value, l.rev)
	if isCode(err, jetstream.JSErrCodeStreamWrongLastSequence) {
		// Of somebody else, or of an Update of ours whose answer was lost.
		var now claim
		entry, err := l.get(ctx, &now)
		if err == nil && now.Run != l.run {
			return fmt.Errorf("%w: %s has it", errLost, now.Holder)
		} else if err == nil {
			l.rev = entry.Revision()
		}
		return errors.New("not renewed yet")
	}
	if err == nil {
		l.rev = rev
	}
	return err
}

// release gives the lease up, so that the next need not wait.
func (l *lease) release(ctx context.Context) error { return l.renew(ctx, l.value("")) }

// isCode reports whether err is the broker's answer with that code.
func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
