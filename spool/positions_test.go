package spool_test

import (
	"errors"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
	"go.etcd.io/bbolt"
)

func TestPositionsSurvive(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s, err := spool.Open(path, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p := s.Positions()
	if got, err := p.Load(); err != nil || len(got) != 0 {
		t.Errorf("a new spool has %v, %v", got, err)
	}
	var all sync.WaitGroup
	for i := range 8 { // beside messages, in shared commits
		all.Go(func() {
			if err := s.Append(uint64(i+1), wsnotify.Message{Type: wsnotify.MessageText, Data: []byte("m")}); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 100 {
		if err := p.Save(map[string]string{"": strconv.Itoa(i), "orders": "o" + strconv.Itoa(i)}); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if err := errors.Join(p.Save(map[string]string{"orders": ""}), p.Save(nil), s.Close()); err != nil {
		t.Fatal(err)
	}
	if err := p.Save(map[string]string{"": "x"}); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("Save of a spool that is closed: %v", err)
	}
	if _, err := p.Load(); !errors.Is(err, spool.ErrClosed) {
		t.Errorf("Load of a spool that is closed: %v", err)
	}

	if s, err = spool.Open(path, spool.Options{}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got, err := s.Positions().Load(); err != nil || !maps.Equal(got, map[string]string{"": "99"}) {
		t.Errorf("the file has %v, %v", got, err)
	}
	messages := 0
	if err := s.Load(func(uint64, wsnotify.Message) error { messages++; return nil }); err != nil || messages != 8 {
		t.Errorf("%d messages, %v", messages, err)
	}
}

// A position whose bytes have changed on the disk, or that stands in another's place, is not given.
func TestPositionsThatHaveChanged(t *testing.T) {
	for name, change := range map[string]func(b *bbolt.Bucket) error{
		"another position": func(b *bbolt.Bucket) error {
			return b.Put([]byte("\x00orders"), append(b.Get([]byte("\x00orders"))[:4:4], '8'))
		},
		"another stream": func(b *bbolt.Bucket) error { return b.Put([]byte("\x00prices"), b.Get([]byte("\x00orders"))) },
		"too short":      func(b *bbolt.Bucket) error { return b.Put([]byte("\x00orders"), []byte("abc")) },
	} {
		path := filepath.Join(t.TempDir(), "spool")
		s, err := spool.Open(path, spool.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Positions().Save(map[string]string{"orders": "7"}), s.Close()); err != nil {
			t.Fatal(err)
		}
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte("wsnotify positions 1"))) }), db.Close()); err != nil {
			t.Fatal(err)
		}
		if s, err = spool.Open(path, spool.Options{}); err != nil {
			t.Fatal(err)
		}
		stream := map[bool]string{true: "prices", false: "orders"}[name == "another stream"]
		if got, err := s.Positions().Load(); !errors.Is(err, spool.ErrDamaged) || len(got) != 0 || !strings.Contains(err.Error(), "the position of stream \""+stream+"\" is not") {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		s.Close()
	}
}

// A stream whose name is too long for the file takes nothing else with it: neither positions nor messages.
func TestStreamWithALongName(t *testing.T) {
	s, err := spool.Open(filepath.Join(t.TempDir(), "spool"), spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	longest, tooLong := strings.Repeat("x", bbolt.MaxKeySize-1), strings.Repeat("y", bbolt.MaxKeySize)
	p := s.Positions()
	if err := p.Save(map[string]string{"a": "1", longest: "2", tooLong: "3"}); err == nil || !strings.Contains(err.Error(), "has 32768 bytes, and may have 32767 at most") {
		t.Errorf("Save: %.200v", err)
	}
	if err := p.Save(map[string]string{tooLong: "3"}); err == nil {
		t.Error("a name that is too long, and no error")
	}
	if err := p.Save(map[string]string{tooLong: ""}); err != nil {
		t.Errorf("forgetting what is not there: %.200v", err)
	}
	if got, err := p.Load(); err != nil || !maps.Equal(got, map[string]string{"a": "1", longest: "2"}) {
		t.Errorf("the file has %d positions, %v", len(got), err)
	}
	if n := s.Stats().Commits; n != 1 {
		t.Errorf("%d commits", n)
	}
}
