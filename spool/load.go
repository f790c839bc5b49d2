package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/wsnotify/wsnotify"
	"go.etcd.io/bbolt"
)

// What is read at once. Nothing of bbolt is held while yield runs, so that it
// may call the other methods.
const (
	loadMessages = 1024
	loadBytes    = 1 << 20
)

type loaded struct {
	seq   uint64
	m     wsnotify.Message
	share uint64
}

// Load calls yield for each message in the file, in the order of their numbers.
// Data is yield's to keep. ErrDamaged means that a message has the wrong checksum,
// stands in the wrong place, or is missing, as where the disk has lost the write of a
// page. What comes before it has been given to yield then.
func (s *Spool) Load(yield func(seq uint64, m wsnotify.Message) error) error {
	var found uint64 // the shares of the messages
	first := 0       // the transaction that Load has begun with
	for from := uint64(0); ; {
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		if err != nil {
			return err
		}
		p, err := s.read(from)
		for _, l := range p.messages {
			if err := yield(l.seq, l.m); err != nil {
				return err
			}
			found += l.share
		}
		if from == 0 {
			first = p.tx
		}
		n := len(p.messages)
		switch {
		case err != nil:
			return err
		case n > 0 && p.messages[n-1].seq < math.MaxUint64:
			from = p.messages[n-1].seq + 1
			continue
		case p.tx == first && found != p.total: // nothing was written meanwhile
			return s.fail(ErrDamaged, fmt.Errorf("the messages in it, %d bytes, are not those of the last commit, %d bytes; %s",
				found&bytesMask, p.total&bytesMask, movedAway))
		}
		return nil
	}
}

const movedAway = "move the file away, and a new one is made"

// part is what Load reads at once.
type part struct {
	messages []loaded
	tx       int    // the transaction that it was read from
	total    uint64 // of the shares of all messages there
}

// read returns the next messages, also those before an error.
func (s *Spool) read(from uint64) (p part, err error) {
	err = s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucket)
			p.tx, p.total = tx.ID(), b.Sequence()
			size := 0
			c := b.Cursor()
			for k, v := c.Seek(key(from)); k != nil && len(p.messages) < loadMessages && size < loadBytes; k, v = c.Next() {
				l, err := decode(k, v)
				if err == nil && l.seq < from {
					err = fmt.Errorf("message %d stands where %d or a later one is expected; %s", l.seq, from, movedAway)
				}
				if err != nil {
					return s.fail(ErrDamaged, err)
				}
				p.messages = append(p.messages, l)
				size += len(l.m.Data)
				if from = l.seq + 1; from == 0 { // it was the last number there is
					return nil
				}
			}
			return nil
		})
	})
	return p, s.explain(err)
}

func decode(k, v []byte) (loaded, error) {
	if len(k) != 8 || len(v) < header {
		return loaded{}, errors.New("an entry of it is not what was written; " + movedAway)
	}
	seq, data := binary.BigEndian.Uint64(k), append([]byte(nil), v[header:]...)
	if binary.BigEndian.Uint32(v[1:]) != sum(seq, v[0], data) {
		return loaded{}, fmt.Errorf("message %d is not what was written; %s", seq, movedAway)
	}
	return loaded{seq, wsnotify.Message{Type: wsnotify.MessageType(v[0]), Data: data}, share(seq, v)}, nil
}
