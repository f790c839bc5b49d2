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

	mu   sync.Mutex
	kept map[uint64]wsnotify.Message
}

// NewShelf returns one with text messages in it.
func NewShelf(t *testing.T, texts ...string) *Shelf {
	s := &Shelf{t: t, kept: map[uint64]wsnotify.Message{}}
	for i, text := range texts {
		s.kept[uint64(10*i+10)] = wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(text)}
	}
	return s
}

// Load gives what is kept, in order.
func (s *Shelf) Load(yield func(uint64, wsnotify.Message) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(s.kept)) {
		if err := yield(seq, s.kept[seq]); err != nil {
			return err
		}
	}
	return nil
}

// Append keeps a message under a number that must be new.
func (s *Shelf) Append(seq uint64, m wsnotify.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, kept := s.kept[seq]; kept {
		s.t.Errorf("the number %d is in use", seq)
	}
	m.Data = slices.Clone(m.Data)
	s.kept[seq] = m
	return nil
}

// Remove takes away messages that must be there.
func (s *Shelf) Remove(seqs ...uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, seq := range seqs {
		if _, kept := s.kept[seq]; !kept {
			s.t.Errorf("%d is not there", seq)
		}
		delete(s.kept, seq)
	}
	return nil
}

// Copy returns another, with what is kept at this moment.
func (s *Shelf) Copy() *Shelf {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Shelf{t: s.t, kept: maps.Clone(s.kept)}
}

// Texts returns what is kept, in order.
func (s *Shelf) Texts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var texts []string
	for _, seq := range slices.Sorted(maps.Keys(s.kept)) {
		texts = append(texts, string(s.kept[seq].Data))
	}
	return texts
}
