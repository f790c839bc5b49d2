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
	seq uint64
	m   wsnotify.Message
}

// Load calls yield for each message in the file, in the order of their numbers.
// Data is yield's to keep. A message whose checksum is wrong is ErrDamaged, and
// what comes before it has been given to yield then.
func (s *Spool) Load(yield func(seq uint64, m wsnotify.Message) error) error {
	for from := uint64(0); ; {
		s.mu.Lock()
		err := s.err
		s.mu.Unlock()
		if err != nil {
			return err
		}
		some, err := s.read(from)
		for _, l := range some {
			if err := yield(l.seq, l.m); err != nil {
				return err
			}
		}
		if err != nil || len(some) == 0 || some[len(some)-1].seq == math.MaxUint64 {
			return err
		}
		from = some[len(some)-1].seq + 1
	}
}

// read returns the next messages, also those before an error.
func (s *Spool) read(from uint64) (some []loaded, err error) {
	err = s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			size := 0
			c := tx.Bucket(bucket).Cursor()
			for k, v := c.Seek(key(from)); k != nil && len(some) < loadMessages && size < loadBytes; k, v = c.Next() {
				l, err := decode(k, v)
				if err != nil {
					return s.fail(ErrDamaged, err)
				}
				some = append(some, l)
				size += len(l.m.Data)
			}
			return nil
		})
	})
	return some, s.explain(err)
}

func decode(k, v []byte) (loaded, error) {
	if len(k) != 8 || len(v) < header {
		return loaded{}, errors.New("an entry of it is not what was written; move the file away, and a new one is made")
	}
	seq, data := binary.BigEndian.Uint64(k), append([]byte(nil), v[header:]...)
	if binary.BigEndian.Uint32(v[1:]) != sum(seq, v[0], data) {
		return loaded{}, fmt.Errorf("message %d is not what was written; move the file away, and a new one is made", seq)
	}
	return loaded{seq, wsnotify.Message{Type: wsnotify.MessageType(v[0]), Data: data}}, nil
}
