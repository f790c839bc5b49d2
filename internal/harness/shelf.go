package harness

import (
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// Shelf is a Store in memory, which outlives its clients and holds them to the
// contract of a Store.
type Shelf struct {
	t *testing.T

	mu        sync.Mutex
	persisted map[uint64]wsnotify.Message
}

// NewShelf returns one with text messages in it.
func NewShelf(t *testing.T, texts ...string) *Shelf {
	s := &Shelf{t: t, persisted: map[uint64]wsnotify.Message{}}
	for i, text := range texts {
		s.persisted[uint64(10*i+10)] = wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(text)}
	}
	return s
}

// Load gives what is persisted, in order.
func (s *Shelf) Load(yield func(uint64, wsnotify.Message) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(s.persisted)) {
		if err := yield(seq, s.persisted[seq]); err != nil {
			return err
		}
	}
	return nil
}

// Append keeps a message under a number that must be new.
func (s *Shelf) Append(seq uint64, m wsnotify.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, persisted := s.persisted[seq]; persisted {
		s.t.Errorf("the number %d is in use", seq)
	}
	m.Data = slices.Clone(m.Data)
	s.persisted[seq] = m
	return nil
}

// Remove takes away messages that must be there.
func (s *Shelf) Remove(seqs ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range seqs {
		if _, persisted := s.persisted[seq]; !persisted {
			s.t.Errorf("%d is not there", seq)
		}
		delete(s.persisted, seq)
	}
	return nil
}

// Copy returns another, with what is persisted at this moment.
func (s *Shelf) Copy() *Shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Shelf{t: s.t, persisted: maps.Clone(s.persisted)}
}

// Texts returns what is persisted, in order.
func (s *Shelf) Texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var texts []string
	for _, seq := range slices.Sorted(maps.Keys(s.persisted)) {
		texts = append(texts, string(s.persisted[seq].Data))
	}
	return texts
}
