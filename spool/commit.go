package spool

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"slices"

	"github.com/wsnotify/wsnotify"
	"go.etcd.io/bbolt"
)

// Who finds nobody at work leads: it commits for all who have come by then,
// while those who come later wait for the next commit and one of them leads
// that. So a lone caller never waits for company, and the more there are, the
// more share a sync.

// group is what one commit will do.
type group struct {
	puts      []put
	removals  []uint64
	positions []map[string]string // in the order of their Saves

	lead chan struct{} // of capacity 1: whoever receives from it leads
	over chan struct{} // closed when the results are there

	putErr, removeErr error // removeErr is that of the positions, too
}

type put struct {
	seq   uint64
	value []byte
	size  int64
}

const header = 1 + 4 // type and checksum

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// sum is over the number too, so that a message can't stand in another's place.
func sum(seq uint64, typ byte, data []byte) uint32 {
	head := append(key(seq), typ)
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, data)
}

// Append keeps a message: when it has returned nil, it is on the disk. It blocks
// for the time of two syncs, or up to four when others are at work, and shares
// them with the others. Its errors are ErrFull, *wsnotify.MessageTooLargeError,
// ErrDiskFull, ErrFailed, ErrDamaged and ErrClosed, or others of the operating
// system.
func (s *Spool) Append(seq uint64, m wsnotify.Message) error {
	size := int64(len(m.Data)) + overhead
	if s.most >= 0 && size > s.most {
		return &wsnotify.MessageTooLargeError{Size: len(m.Data), Limit: int(max(0, s.most-overhead))}
	}
	value := make([]byte, header, header+len(m.Data))
	value[0] = byte(m.Type)
	binary.BigEndian.PutUint32(value[1:], sum(seq, value[0], m.Data))
	value = append(value, m.Data...)

	s.mu.Lock()
	switch {
	case s.err != nil:
		defer s.mu.Unlock()
		return s.err
	case s.most >= 0 && s.bytes+size > s.most:
		s.mu.Unlock()
		return s.fail(ErrFull, errors.New("Options.MaxBytes is reached: wait until the server has taken some"))
	}
	s.bytes += size
	g := s.join()
	g.puts = append(g.puts, put{seq, value, size})
	s.await(g)
	return g.putErr
}

// Remove forgets messages. It shares its commit with Append. After an error
// they are still there.
func (s *Spool) Remove(seqs ...uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	g := s.join()
	g.removals = append(g.removals, seqs...)
	s.await(g)
	return g.removeErr
}

// join returns the group of the next commit. The lock is held.
func (s *Spool) join() *group {
	if s.next == nil {
		s.next = &group{lead: make(chan struct{}, 1), over: make(chan struct{})}
	}
	return s.next
}

// await waits for the results of g, and leads if nobody else does. The lock is
// held, and is released.
func (s *Spool) await(g *group) {
	if !s.busy {
		s.busy = true
		g.lead <- struct{}{}
	}
	s.mu.Unlock()
	select {
	case <-g.over:
		return
	case <-g.lead:
	}
	err := s.gather(g)

	var freed int64
	commits := uint64(0)
	if err != nil { // it failed, or was closed, while we waited
		g.putErr, g.removeErr = err, err
	} else {
		freed, commits = s.commit(g)
	}

	s.mu.Lock()
	s.stats.Commits += commits
	s.bytes -= freed
	if g.putErr != nil {
		for _, p := range g.puts {
			s.bytes -= p.size
		}
	}
	for _, err := range []error{g.putErr, g.removeErr} {
		if s.err == nil && (errors.Is(err, ErrFailed) || errors.Is(err, ErrDamaged)) {
			s.err = err
		}
	}
	close(g.over)
	if s.next != nil {
		s.next.lead <- struct{}{}
	} else {
		s.busy = false
		if s.written != nil {
			close(s.written)
		}
	}
	s.mu.Unlock()
}

// gather closes the group to those who come later. Those who shared the last
// commit have just been woken, and come back at once if they have more: without
// a moment for them, every other commit would be for few.
func (s *Spool) gather(g *group) error {
	for before := -1; ; {
		s.mu.Lock()
		if n := len(g.puts); n == before {
			s.next = nil
			defer s.mu.Unlock()
			return s.err
		} else {
			before = n
		}
		s.mu.Unlock()
		runtime.Gosched()
	}
}

// commit does what the group wants, and returns how much the removals have
// freed.
func (s *Spool) commit(g *group) (freed int64, commits uint64) {
	slices.SortFunc(g.puts, func(a, b put) int { return cmp.Compare(a.seq, b.seq) })
	slices.Sort(g.removals)
	freed, err := s.write(g.puts, g)
	if err == nil {
		return freed, 1
	}
	g.putErr, g.removeErr = err, err
	if len(g.puts) == 0 || len(g.removals)+len(g.positions) == 0 || errors.Is(err, ErrFailed) || errors.Is(err, ErrDamaged) {
		return 0, 0
	}
	// There may be no space for the messages, and still enough to forget those
	// that are done, which makes some.
	if freed, g.removeErr = s.write(nil, g); g.removeErr != nil {
		return 0, 0
	}
	commits = 1
	if _, g.putErr = s.write(g.puts, &group{}); g.putErr == nil {
		commits++
	}
	return freed, commits
}

// write is one transaction: of puts, and of what else a group wants.
func (s *Spool) write(puts []put, g *group) (freed int64, err error) {
	id := 0
	err = s.guard(func() error {
		err := s.update(s.db, func(tx *bbolt.Tx) (err error) {
			id = tx.ID()
			freed, err = change(tx, puts, g.removals)
			return errors.Join(err, savePositions(tx, g.positions))
		})
		if err == nil {
			return nil
		}
		// Nothing has come of it, unless its meta page is there: then the sync
		// behind that has failed, and the page may be in memory only.
		tx, viewErr := s.db.Begin(false)
		if viewErr != nil {
			return s.fail(ErrFailed, errors.Join(err, viewErr))
		}
		defer tx.Rollback()
		if id > 0 && tx.ID() >= id {
			return s.fail(ErrFailed, err)
		}
		return s.explain(err)
	})
	if err != nil {
		return 0, err
	}
	return freed, nil
}

// change does the work of one transaction.
func change(tx *bbolt.Tx, puts []put, removals []uint64) (freed int64, err error) {
	b := tx.Bucket(bucket)
	b.FillPercent = 0.9 // numbers grow, so pages are filled in order and not split in the middle
	total := b.Sequence()
	c := b.Cursor()
	for _, seq := range removals {
		k, v := c.Seek(key(seq))
		if !bytes.Equal(k, key(seq)) {
			continue
		}
		freed += cost(v)
		total -= share(seq, v)
		err = errors.Join(err, c.Delete())
	}
	for _, p := range puts {
		k := key(p.seq)
		if v := b.Get(k); v != nil { // it was in use, against the contract
			freed += cost(v)
			total -= share(p.seq, v)
		}
		err = errors.Join(err, b.Put(k, p.value))
		total += share(p.seq, p.value)
	}
	return freed, errors.Join(err, b.SetSequence(total))
}

func cost(value []byte) int64 { return int64(len(value)) - header + overhead }

// The shares of all messages add up to the sequence of the bucket: what they take, in the lower bits,
// and a fingerprint of which they are, in the upper ones. So Open need not read the messages to know
// the one, and Load notices by the other when they are not those of the last commit.
const (
	bytesBits = 44 // 16 TiB
	bytesMask = 1<<bytesBits - 1
)

func share(seq uint64, value []byte) uint64 {
	// A multiplication makes it depend on more than the bits that differ: sums and checksums alone would
	// not tell messages 1 and 4 from 2 and 3.
	h := seq<<32 ^ seq>>32 ^ uint64(binary.BigEndian.Uint32(value[1:]))
	for range 2 {
		h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	}
	return uint64(cost(value)) + h>>bytesBits<<bytesBits
}
