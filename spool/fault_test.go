package spool

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"go.etcd.io/bbolt"
)

func wantError(t *testing.T, path string, want error, says string) {
	t.Helper()
	before, _ := os.ReadFile(path)
	s, err := Open(path, Options{LockTimeout: -1})
	if err == nil {
		s.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), path) {
		t.Errorf("expected %v that says %q, got %v", want, says, err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("the file was changed")
	}
}

func TestFileThatIsInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1)
	began := time.Now()
	wantError(t, path, ErrInUse, "another process")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	opened := make(chan error, 1)
	go func() {
		next, err := Open(path, Options{LockTimeout: time.Minute})
		if err == nil {
			err = next.Close()
		}
		opened <- err
	}()
	s.Close()
	if err := <-opened; err != nil {
		t.Errorf("after the other one has closed it: %v", err)
	}
}

func TestFilesOfSomethingElse(t *testing.T) {
	dir := t.TempDir()
	file := func(name, data string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	wantError(t, file("short", "x"), ErrNotSpool, "another path")
	wantError(t, file("text", strings.Repeat("It is a text.\n", 5000)), ErrNotSpool, "another path")
	wantError(t, file("zeros", string(make([]byte, 100_000))), ErrNotSpool, "another path")
	wantError(t, dir, ErrNotSpool, "regular file")
	wantError(t, filepath.Join(dir, "none", "spool"), fs.ErrNotExist, "")

	for name, says := range map[string]string{"users": "another program", "wsnotify spool 2": "format 2"} {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte(name)); return err })
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		wantError(t, path, ErrNotSpool, says)
	}
}

// Wherever a file was cut off, Open says so, or it was behind all that counts.
func TestFileThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	var want []string
	for seq := range uint64(40) {
		if err := s.Append(seq+1, text(strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	want = content(t, s)
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	for size := len(whole); size >= 0; size -= 1000 {
		if size < 1000 {
			size = 0
		}
		cut := path + "cut"
		if err := os.WriteFile(cut, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(cut, Options{})
		switch {
		case err == nil:
			wantContent(t, s, want...)
			s.Close()
		case errors.Is(err, ErrDamaged):
			told++
		default:
			t.Errorf("cut at %d: %v", size, err)
		}
		if size < 1000 {
			break
		}
	}
	if told < 30 {
		t.Errorf("%d files were told to be cut off", told)
	}
}

// A page that is not what was written is an error, never a panic or a message
// that nobody sent.
func TestFileWithPagesOfSomethingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	for seq := range uint64(40) {
		if err := s.Append(seq+1, text(strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	want := content(t, s)
	s.Close()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page, told := os.Getpagesize(), 0
	for _, fill := range []byte{0, 0xff, 'x'} {
		for at := 0; at < len(whole); at += page {
			data := []byte(string(whole))
			for i := range page {
				data[at+i] = fill
			}
			bad := path + "bad"
			if err := os.WriteFile(bad, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(bad, Options{})
			if err != nil {
				if told++; !errors.Is(err, ErrDamaged) {
					t.Errorf("page %d: %v", at/page, err)
				}
				continue
			}
			n := 0
			err = s.Load(func(seq uint64, m wsnotify.Message) error {
				if n >= len(want) || string(m.Data) != strings.Repeat("x", 1000) {
					t.Errorf("page %d: message %d is %.20q", at/page, seq, m.Data)
				}
				n++
				return nil
			})
			if err != nil {
				if told++; !errors.Is(err, ErrDamaged) {
					t.Errorf("page %d: %v", at/page, err)
				}
			} else if n != len(want) && n != len(want)-1 { // of the transaction before
				t.Errorf("page %d: %d messages of %d, and no error", at/page, n, len(want))
			}
			s.Close()
		}
	}
	if told == 0 {
		t.Error("nothing was noticed")
	}
}

// Both meta pages of a database that was ours.
func TestFileWithoutMetaPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	openAt(t, path, Options{}).Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if binary.NativeEndian.Uint32(data[16:]) != bboltMagic {
		t.Fatal("it begins otherwise")
	}
	for _, page := range []int{0, os.Getpagesize()} {
		data[page+40] ^= 1
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, path, ErrDamaged, "first pages")
}
