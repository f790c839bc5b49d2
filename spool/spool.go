// Package spool keeps the outbox of a wsnotify.Client in a file, so that what
// Enqueue has accepted is sent although the process ends: by the next one.
//
// docs/spool.md says what is assumed of the disk, and what a crash can leave.
package spool

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify"
	"go.etcd.io/bbolt"
)

// Options are those of Open. The zero value is good for most.
type Options struct {
	// MaxBytes bounds what the messages in the file take together: their bytes
	// and 32 more for each. The file becomes at most about three times
	// as large, and on Windows the next power of two above that: 256 MiB where it
	// is zero. Zero means 64 MiB, negative no limit.
	MaxBytes int64
	// LockTimeout is how long Open waits for another process to close the file,
	// such as one that is just ending. Zero means 1 s, negative no wait.
	LockTimeout time.Duration
}

const (
	defaultMaxBytes    = 64 << 20
	defaultLockTimeout = time.Second

	overhead = 32 // what a message takes besides its bytes
)

// Spool is a wsnotify.Store in a file. Its methods may be called by several
// goroutines at once.
type Spool struct {
	path string
	most int64 // of bytes; negative: no limit
	db   *bbolt.DB
	file *os.File // the one that db uses, for when db can't be closed any more

	update func(*bbolt.DB, func(*bbolt.Tx) error) error // (*bbolt.DB).Update, but for tests
	wedged atomic.Bool                                  // db may hold locks of its own forever

	mu      sync.Mutex
	next    *group // those who wait for the next commit; nil if nobody does
	busy    bool   // somebody leads
	bytes   int64  // in the file, or about to be
	err     error  // why nothing is taken any more
	closed  bool
	stats   Stats
	written chan struct{} // closed when the last leader is done, after Close
}

var _ wsnotify.Store = (*Spool)(nil)

// Stats says what has happened since Open.
type Stats struct {
	Bytes   int64  // that the messages in the file take, as MaxBytes counts
	Commits uint64 // transactions, each of which has synced the file twice
}

// Open opens the file at path, or makes it if there is none, readable for its
// owner only. Its folder must be there. The file is locked until Close, or the
// end of the process.
//
// Its errors are ErrInUse, ErrReadOnly, ErrDiskFull, ErrNotSpool and ErrDamaged
// under errors.Is, or others of the operating system.
func Open(path string, o Options) (*Spool, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	switch {
	case o.LockTimeout == 0:
		o.LockTimeout = defaultLockTimeout
	case o.LockTimeout < 0:
		o.LockTimeout = 1 // none at all would be forever
	}
	s := &Spool{path: path, most: o.MaxBytes, update: (*bbolt.DB).Update}
	if err := s.open(o.LockTimeout); err != nil {
		return nil, err
	}
	return s, nil
}

// Stats returns a snapshot.
func (s *Spool) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Bytes = s.bytes
	return stats
}

// Close waits for the commit that is under way, and releases the file. It loses
// nothing. Call it when Done of the client is closed: a client that goes on
// gets ErrClosed.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	if s.err == nil {
		s.err = s.fail(ErrClosed, nil)
	}
	var written chan struct{}
	if s.busy {
		written = make(chan struct{})
		s.written = written
	}
	s.mu.Unlock()
	if written != nil {
		<-written
	}
	return s.closeDB()
}
