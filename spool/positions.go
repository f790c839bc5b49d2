package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/wsnotify/wsnotify"
	"go.etcd.io/bbolt"
)

// positionsBucket holds the position of each stream behind a checksum, by the
// stream's name behind a byte that is 0, since bbolt takes no empty key. It is
// made by the first Save.
var positionsBucket = []byte("wsnotify positions 1")

// Positions returns the wsnotify.PositionStore of the same file, for
// Config.Resume. A Save shares its commit with Append and Remove: it blocks for
// the time of two syncs, or up to four when others are at work, and its errors are
// those of Append. What it keeps does not count for Options.MaxBytes. Only one
// client may use it.
func (s *Spool) Positions() wsnotify.PositionStore { return positions{s} }

type positions struct{ s *Spool }

// Load returns the positions that were saved. Its errors are ErrDamaged and
// ErrClosed, or others of the operating system.
func (p positions) Load() (map[string]string, error) {
	s := p.s
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	loaded := map[string]string{}
	err = s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(positionsBucket)
			if b == nil {
				return nil
			}
			return b.ForEach(func(k, v []byte) error {
				if len(v) < 4 || binary.BigEndian.Uint32(v) != positionSum(k, v[4:]) {
					return s.fail(ErrDamaged, fmt.Errorf("the position of stream %.40q is not what was written; "+
						"move the file away, and a new one is made", k[1:]))
				}
				loaded[string(k[1:])] = string(v[4:])
				return nil
			})
		})
	})
	if err != nil {
		return nil, s.explain(err)
	}
	return loaded, nil
}

// Save keeps the positions of some streams; those of others stay. The position
// "" forgets a stream. A stream whose name is longer than bbolt allows, some
// 32 KiB, is an error, after the others are kept.
func (p positions) Save(changed map[string]string) error {
	s := p.s
	var tooLong error
	possible := make(map[string]string, len(changed))
	for stream, position := range changed {
		if len(stream) < bbolt.MaxKeySize {
			possible[stream] = position
		} else if position != "" {
			tooLong = fmt.Errorf("spool: %s: the name of stream %.40q… has %d bytes, and may have %d at most", s.path, stream, len(stream), bbolt.MaxKeySize-1)
		}
	}
	if len(possible) == 0 {
		return tooLong
	}
	s.mu.Lock()
	if s.err != nil {
		defer s.mu.Unlock()
		return s.err
	}
	g := s.join()
	g.positions = append(g.positions, possible)
	s.await(g)
	return errors.Join(g.removeErr, tooLong)
}

func savePositions(tx *bbolt.Tx, list []map[string]string) error {
	if len(list) == 0 {
		return nil
	}
	b, err := tx.CreateBucketIfNotExists(positionsBucket)
	if err != nil {
		return err
	}
	for _, changed := range list {
		for stream, position := range changed {
			k := append([]byte{0}, stream...)
			if position == "" {
				err = errors.Join(err, b.Delete(k))
			} else {
				err = errors.Join(err, b.Put(k, append(binary.BigEndian.AppendUint32(nil, positionSum(k, []byte(position))), position...)))
			}
		}
	}
	return err
}

// positionSum is over the stream too, so that a position can't stand in
// another's place.
func positionSum(k, position []byte) uint32 {
	return crc32.Update(crc32.Checksum(k, castagnoli), castagnoli, position)
}
