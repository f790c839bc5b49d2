package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// The messages are in the one bucket of the database, by their number. Its
// sequence is the sum of their shares: bbolt keeps it in a page that each
// transaction writes anyway.
var bucket = []byte("wsnotify spool 1")

const family = "wsnotify spool "

// bboltMagic is at offset 16 of a database, in the byte order of the machine.
const bboltMagic = 0xED0CDAED

func (s *Spool) open(wait time.Duration) error {
	switch info, err := os.Stat(s.path); {
	case errors.Is(err, fs.ErrNotExist):
		if err := s.create(); err != nil {
			return s.explain(err)
		}
	case err != nil:
		return s.explain(err)
	case !info.Mode().IsRegular():
		return s.fail(ErrNotSpool, fmt.Errorf("expected a regular file, and it is %v", info.Mode().Type()))
	}
	// bbolt reads the list of free pages when it opens a file for writing,
	// wherever that is. So first look whether the file is all there.
	if err := s.inspect(wait); err != nil {
		return err
	}
	if err := s.openDB(wait, false); err != nil {
		return err
	}
	s.removeLeftovers()
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			s.bytes = int64(tx.Bucket(bucket).Sequence() & bytesMask)
			return nil
		})
	})
	if err != nil {
		return errors.Join(s.explain(err), s.closeDB())
	}
	return nil
}

// closeDB closes the database; or, if it may never let go of its own locks, the
// file under it.
func (s *Spool) closeDB() error {
	if s.wedged.Load() {
		unlock(s.file)
		return s.file.Close()
	}
	return s.db.Close()
}

// openDB opens the database, and closes the file if that fails.
func (s *Spool) openDB(wait time.Duration, readOnly bool) error {
	var file *os.File
	err := s.guard(func() (err error) {
		s.db, err = bbolt.Open(s.path, 0o600, &bbolt.Options{
			Timeout:      wait,
			ReadOnly:     readOnly,
			FreelistType: bbolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
				file, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
				return file, err
			},
		})
		return err
	})
	s.file = file
	if err == nil {
		s.db.AllocSize = 1 << 20 // by which a large file grows
		return nil
	}
	if s.wedged.Load() {
		unlock(file)
		file.Close()
	}
	var known *fileError
	var errno syscall.Errno
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return s.fail(ErrInUse, errors.New("another process has it open, or another Open of this one; end that, or take another file"))
	case errors.As(err, &known), errors.As(err, &errno):
		return s.explain(err)
	case s.isDatabase():
		return s.fail(ErrDamaged, fmt.Errorf("its first pages are not what was written, or were cut off: %w; %s", err, movedAway))
	}
	return s.fail(ErrNotSpool, errors.New("expected a file that was made by this package; take another path"))
}

// isDatabase says whether the file begins like one of bbolt.
func (s *Spool) isDatabase() bool {
	var head [20]byte
	f, err := os.Open(s.path)
	if err == nil {
		_, err = f.ReadAt(head[:], 0)
		f.Close()
	}
	return err == nil && binary.NativeEndian.Uint32(head[16:]) == bboltMagic
}

// inspect looks at the file without changing it.
func (s *Spool) inspect(wait time.Duration) error {
	if info, err := os.Stat(s.path); err == nil && info.Size() == 0 {
		return s.fail(ErrDamaged, errors.New("it is empty, which a spool never is: delete it if no messages are missing"))
	}
	if err := s.openDB(wait, true); err != nil {
		return err
	}
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			info, err := s.file.Stat()
			if err != nil {
				return s.explain(err)
			}
			if want := tx.Size(); info.Size() < want {
				return s.fail(ErrDamaged, fmt.Errorf("it was cut off: expected %d bytes or more, and it has %d", want, info.Size()))
			}
			if err := checkPages(tx, s.file); err != nil {
				return s.fail(ErrDamaged, fmt.Errorf("a page of it is not what was written: %w; %s", err, movedAway))
			}
			if tx.Bucket(bucket) != nil {
				return nil
			}
			other := errors.New("it is a database of another program; take another path")
			return errors.Join(tx.ForEach(func(name []byte, _ *bbolt.Bucket) error {
				if bytes.HasPrefix(name, []byte(family)) {
					other = fmt.Errorf("it is of format %s, and this version knows 1", name[len(family):])
				}
				return nil
			}), s.fail(ErrNotSpool, other))
		})
	})
	return errors.Join(err, s.closeDB())
}

// A file that create works on is called PATH.unfinished-DIGITS.tmp, as nobody calls a spool: what has
// that name is deleted by the next Open of PATH.
const unfinished, temporary = ".unfinished-", ".tmp"

// create makes an empty spool beside its place, and puts it there when it is
// complete.
func (s *Spool) create() (err error) {
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+unfinished+"*"+temporary)
	if err != nil {
		return err
	}
	temp := f.Name()
	defer os.Remove(temp)
	if err := f.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(temp, 0o600, nil)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	switch err := os.Link(temp, s.path); {
	case err == nil:
		return syncFolder(s.path)
	case exists(s.path): // somebody else was faster
		return nil
	}
	// There are file systems without links. A crash in the middle of what
	// follows leaves a file that was cut off, which Open says, and nothing that
	// was stored.
	if err := copyNew(temp, s.path); err != nil {
		return err
	}
	return syncFolder(s.path)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func copyNew(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(to)) // or else the next Open finds half a file
	}
	return nil
}

// syncFolder makes the name of a new file durable. Windows has no way to, and
// needs none.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// removeLeftovers deletes what a crash in create has left. Somebody who is in
// the middle of create finds then that the file is there.
func (s *Spool) removeLeftovers() {
	entries, _ := os.ReadDir(filepath.Dir(s.path))
	for _, e := range entries {
		digits, ours := strings.CutPrefix(e.Name(), filepath.Base(s.path)+unfinished)
		digits, whole := strings.CutSuffix(digits, temporary)
		if ours && whole && digits != "" && strings.Trim(digits, "0123456789") == "" {
			os.Remove(filepath.Join(filepath.Dir(s.path), e.Name()))
		}
	}
}

// guard runs f, and makes an error of a panic: bbolt panics on pages that it
// can't make sense of, and the memory of a file that was cut off is not there.
func (s *Spool) guard(f func() error) (err error) {
	before := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(before)
	defer func() {
		if p := recover(); p != nil {
			s.wedged.Store(true)
			err = s.fail(ErrDamaged, fmt.Errorf("a page of it is not what was written, or was cut off: %v; %s", p, movedAway))
		}
	}()
	return f()
}
