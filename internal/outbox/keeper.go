package outbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Store keeps messages over the end of the process. The root says what holds for
// its methods.
type Store interface {
	Load(yield func(seq uint64, op wire.Op, data []byte) error) error
	Append(seq uint64, op wire.Op, data []byte) error
	Remove(seqs ...uint64) error
}

// Keeper is what the outboxes of a client have in common with its Store.
type Keeper struct {
	store  Store
	report func(error)

	loaded atomic.Bool

	mu       sync.Mutex
	seq      uint64        // the last one given away
	loading  *loading      // under way; nil if none is
	done     []uint64      // to be removed
	removing chan struct{} // closed when the goroutine that removes ends; nil if there is none
	unkept   atomic.Int64  // len(done) and what is being removed
}

// errNotAppended stands for a panic, which goes on to the caller.
var errNotAppended = errors.New("wsnotify: Outbox.Store: Append did not return")

type loading struct {
	over chan struct{}
	err  error // valid after over
}

// NewKeeper returns one, or nil without a Store.
func NewKeeper(s Store, report func(error)) *Keeper {
	if s == nil {
		return nil
	}
	return &Keeper{store: s, report: report}
}

func (k *Keeper) next() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.seq++
	return k.seq
}

// Load takes over what the Store holds, unless that has been done. Those who
// come meanwhile wait for it.
func (b *Box) Load() error {
	k := b.post.Keeper
	if k == nil || k.loaded.Load() {
		return nil
	}
	k.mu.Lock()
	l := k.loading
	if l != nil || k.loaded.Load() {
		k.mu.Unlock()
		if l == nil {
			return nil
		}
		<-l.over
		return l.err
	}
	l = &loading{over: make(chan struct{})}
	k.loading = l
	k.mu.Unlock()

	defer func() {
		k.mu.Lock()
		k.loading = nil
		k.mu.Unlock()
		close(l.over)
	}()
	l.err = errors.New("wsnotify: Outbox.Store: Load did not return") // if it panics
	l.err = b.loadAll()
	return l.err
}

func (b *Box) loadAll() error {
	var found []*entry
	err := b.post.Keeper.store.Load(func(seq uint64, op wire.Op, data []byte) error {
		found = append(found, &entry{seq: seq, op: op, data: append([]byte(nil), data...), at: b.clock()})
		return nil
	})
	if err != nil {
		return fmt.Errorf("wsnotify: Outbox.Store can't be loaded: %w", err)
	}
	slices.SortFunc(found, func(x, y *entry) int { return cmp.Compare(x.seq, y.seq) })
	if b.post.ConfirmID != nil {
		for _, e := range found {
			if id := b.post.ConfirmID(e.op, e.data); id != "" {
				e.receipt, e.awaits = &receipt{id: id}, true
			}
		}
	}
	if n := len(found); n > 0 {
		b.post.Keeper.mu.Lock()
		b.post.Keeper.seq = max(b.post.Keeper.seq, found[n-1].seq)
		b.post.Keeper.mu.Unlock()
	}
	b.inherit(found)
	b.post.Keeper.loaded.Store(true)
	return nil
}

// enqueueKept is enqueue with a Store. The message has its place before the
// Store has it, so that those who come at the same time keep their order and
// can be stored together; nothing from there on is written before that.
func (b *Box) enqueueKept(op wire.Op, data []byte, id string) (err error) {
	if err := b.Load(); err != nil {
		return err
	}
	b.lock()
	if err := b.admit(len(data)); err != nil {
		b.unlock()
		return err
	}
	b.seq = b.post.Keeper.next()
	seq := b.seq
	e := b.add(op, data, "")
	e.fresh = true
	b.unlock()

	err = errNotAppended // if it panics
	defer func() {
		if w := b.appended(e, id, err); w != nil {
			w.kick()
		}
	}()
	if err = b.post.Keeper.store.Append(seq, op, data); err != nil {
		return fmt.Errorf("wsnotify: Outbox.Store did not take the message: %w", err)
	}
	return nil
}

// appended lets a message go on its way, or forgets it.
func (b *Box) appended(e *entry, id string, err error) *Writer {
	b.lock()
	if e.place == nowhere { // the client has ended meanwhile
		b.unlock()
		if err == nil {
			e.fresh = false
			if id != "" {
				e.receipt, e.awaits = &receipt{id: id}, true
			}
			b.inherit([]*entry{e})
		}
		return nil
	}
	defer b.unlock()
	e.fresh = false
	if err != nil {
		b.leave(e)
		b.remove(e)
	} else {
		if id != "" {
			e.receipt, e.awaits = &receipt{id: id}, true
			b.expect(e)
		}
		b.arm()
	}
	return b.w
}

// Bequeath gives what is left, now or at the end, to the outbox of the next
// Connect or Run.
func (b *Box) Bequeath(heir *Box) {
	if b.post.Keeper == nil {
		return
	}
	b.lock()
	b.heir = heir
	var rest []*entry
	if b.finished {
		rest = b.surrender()
	}
	b.unlock()
	heir.inherit(rest)
}

// surrender takes all out of an outbox that has ended.
func (b *Box) surrender() (rest []*entry) {
	for b.queue.first != nil {
		e := b.queue.first
		b.leave(e)
		b.unlink(e)
		rest = append(rest, e)
	}
	return rest
}

// inherit takes over messages that the Store has, in their order. They come
// before those that this outbox took itself.
func (b *Box) inherit(rest []*entry) {
	if len(rest) == 0 {
		return
	}
	b.lock()
	if b.finished && b.heir != nil {
		b.unlock()
		b.heir.inherit(rest)
		return
	}
	at := b.mark
	for _, e := range rest {
		for at != nil && at.wait == nil && at.seq < e.seq {
			at = at.next
		}
		e.place = waiting
		b.queue.insert(e, at)
		if at == b.mark {
			b.mark = e
		}
		b.queued++
		b.bytes += len(e.data)
		b.seq = max(b.seq, e.seq)
		b.join(e)
		if e.awaits {
			if e.sent {
				b.unproven++
			}
			e.receipt, e.indexed = &receipt{id: e.receipt.id}, false
			b.expect(e)
		}
	}
	b.hint = nil
	b.rearm()
	w := b.w
	b.unlock()
	if w != nil {
		w.kick()
	}
}

// remove forgets a message that is done. It does not block.
func (k *Keeper) remove(seq uint64) {
	k.mu.Lock()
	k.done = append(k.done, seq)
	k.unkept.Add(1)
	if k.removing == nil {
		k.removing = make(chan struct{})
		go k.run()
	}
	k.mu.Unlock()
}

// run removes what is done, together with what has come meanwhile. What could
// not be removed is tried again with the next message, and at the end.
func (k *Keeper) run() {
	var batch []uint64
	ended := false
	defer func() {
		if !ended { // Remove failed, or ended the goroutine
			k.mu.Lock()
			k.done = append(batch, k.done...)
			close(k.removing)
			k.removing = nil
			k.mu.Unlock()
		}
	}()
	for {
		k.mu.Lock()
		if batch, k.done = k.done, nil; len(batch) == 0 {
			ended = true
			close(k.removing)
			k.removing = nil
			k.mu.Unlock()
			return
		}
		k.mu.Unlock()
		if err := k.store.Remove(batch...); err != nil {
			k.report(fmt.Errorf("wsnotify: Outbox.Store did not remove %d messages that are done; "+
				"unless it does later, they are sent again when it is loaded next: %w", len(batch), err))
			return
		}
		k.unkept.Add(-int64(len(batch)))
	}
}

// Settle has all removed that is done, and waits for that, for so long at
// most. The channel that it returns is closed when it is over.
func (k *Keeper) Settle(limit time.Duration) <-chan struct{} {
	k.mu.Lock()
	if k.removing == nil {
		k.removing = make(chan struct{})
		go k.run()
	}
	removing := k.removing
	k.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-removing:
	case <-timer.C:
	}
	return removing
}
