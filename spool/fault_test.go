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
	"slices"
	"strings"
	"syscall"
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

// Zero waits for one that is just ending, and a negative LockTimeout for nobody.
func TestLockTimeouts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	began := time.Now()
	if _, err := Open(path, Options{LockTimeout: -1}); !errors.Is(err, ErrInUse) || time.Since(began) > defaultLockTimeout {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
	failed := make(chan error, 1)
	go func() { _, err := Open(path, Options{}); failed <- err }()
	select {
	case err := <-failed:
		if took := time.Since(began); !errors.Is(err, ErrInUse) || took < defaultLockTimeout/2 {
			t.Errorf("after %v: %v", took, err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits forever")
	}
	time.AfterFunc(defaultLockTimeout/10, func() { s.Close() })
	openAt(t, path, Options{})
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
	if runtime.GOOS != "windows" {
		wantError(t, filepath.Join(file("file", "x"), "spool"), syscall.ENOTDIR, "")
	}

	for name, says := range map[string]string{"users": "another program", "wsnotify spool 2": "format 2, and this version knows 1"} {
		path := filepath.Join(dir, name)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket([]byte(name))
			_, another := tx.CreateBucket([]byte("a bucket"))
			return errors.Join(err, another)
		})
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
	reported := 0
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
			reported++
		default:
			t.Errorf("cut at %d: %v", size, err)
		}
		if size < 1000 {
			break
		}
	}
	if reported < 30 {
		t.Errorf("%d files were reported as cut off", reported)
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
	page, reported := os.Getpagesize(), 0
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
				if reported++; !errors.Is(err, ErrDamaged) {
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
				if reported++; !errors.Is(err, ErrDamaged) {
					t.Errorf("page %d: %v", at/page, err)
				}
			} else if n != len(want) && n != len(want)-1 { // of the transaction before
				t.Errorf("page %d: %d messages of %d, and no error", at/page, n, len(want))
			}
			s.Close()
		}
	}
	if reported == 0 {
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

// A page is that of an earlier moment: the disk has lost a write, or the file was copied while it was in
// use. Each message in it has the right checksum. Load neither goes on for ever nor gives out anything but
// what is there, without an error.
func TestFileWithAPageOfEarlier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	var states [][]byte
	seq := uint64(0)
	var want []string
	for range 30 { // a queue that moves on, with one in ten left
		s := openAt(t, path, Options{})
		for range 40 {
			seq++
			if err := s.Append(seq, text(fmt.Sprintf("%d %s", seq, strings.Repeat("x", 300)))); err != nil {
				t.Fatal(err)
			}
		}
		var done []uint64
		for n := seq - 79; n <= seq-40 && seq > 40; n++ {
			if n%10 != 0 {
				done = append(done, n)
			}
		}
		if err := s.Remove(done...); err != nil {
			t.Fatal(err)
		}
		want = content(t, s)
		s.Close()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, data)
	}
	pageSize := os.Getpagesize()
	now := states[len(states)-1]
	tried, refused := 0, 0
	for page := 2; page < len(now)/pageSize; page++ {
		at := now[page*pageSize : (page+1)*pageSize]
		for i, old := range states {
			if testing.Short() && (page+i)%4 > 0 {
				continue
			}
			if len(old) < (page+1)*pageSize || bytes.Equal(old[page*pageSize:][:pageSize], at) {
				continue
			}
			data := slices.Concat(now[:page*pageSize], old[page*pageSize:][:pageSize], now[(page+1)*pageSize:])
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path, Options{LockTimeout: -1})
			if err != nil {
				if refused++; !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNotSpool) {
					t.Errorf("page %d: %v", page, err)
				}
				continue
			}
			tried++
			var got []string
			err = s.Load(func(seq uint64, m wsnotify.Message) error {
				got = append(got, fmt.Sprintf("%d %v %s", seq, m.Type, m.Data))
				if len(got) > 2*len(want) {
					t.Fatalf("page %d: Load goes on", page)
				}
				return nil
			})
			s.Close()
			if err == nil && !slices.Equal(got, want) {
				t.Errorf("page %d: Load gives %d messages and no error, expected %d", page, len(got), len(want))
			}
			if err == nil { // and it can go on
				s := openAt(t, path, Options{})
				appendAll(t, s, seq+1, seq+2)
				if err := s.Remove(seq + 1); err != nil {
					t.Error(err)
				}
				s.Close()
				s = openAt(t, path, Options{})
				wantContent(t, s, append(want[:len(want):len(want)], fmt.Sprintf("%d MessageText m%[1]d", seq+2))...)
				s.Close()
			}
			if err != nil {
				if refused++; !errors.Is(err, ErrDamaged) {
					t.Errorf("page %d: %v", page, err)
				}
			}
		}
	}
	if t.Logf("%d files with a page of earlier were opened, and %d refused, then or before", tried, refused); refused == 0 {
		t.Error("no page of earlier is used")
	}
}

// A commit whose outcome can't be looked up is none that one may count on.
func TestOutcomeThatIsUnknown(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
	s.update = func(db *bbolt.DB, f func(*bbolt.Tx) error) error {
		return errors.Join(db.Update(f), db.Close(), errBroken)
	}
	if err := s.Append(1, text("m1")); !errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
}

// An update that never began has changed nothing.
func TestUpdateThatNeverBegan(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
	s.update = func(*bbolt.DB, func(*bbolt.Tx) error) error { return errBroken }
	if err := s.Append(1, text("m1")); !errors.Is(err, errBroken) || errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
}

func TestRemoveReturnsItsError(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
	appendAll(t, s, 1)
	s.update = func(*bbolt.DB, func(*bbolt.Tx) error) error { return errBroken }
	if err := s.Remove(1); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	wantContent(t, s, "1 MessageText m1")
}

var errBroken = errors.New("input/output error")

// Where there are no links, a new file is copied to its place.
func TestCopyNew(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	if err := os.WriteFile(from, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyNew(from, to); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(to); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("others may read the copy: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(from, []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyNew(from, to); err != nil { // somebody else was faster
		t.Error(err)
	}
	if data, err := os.ReadFile(to); err != nil || string(data) != "x" {
		t.Errorf("it was overwritten: %q, %v", data, err)
	}
	if err := copyNew(from, filepath.Join(dir, "none", "b")); err == nil {
		t.Error("no error without a folder")
	}
	if err := copyNew(filepath.Join(dir, "none"), filepath.Join(dir, "c")); err == nil {
		t.Error("no error without a file")
	}
}

// Who makes a file while another one does, too, leaves that, and nothing besides.
func TestFileIsMadeTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	appendAll(t, openAt(t, path, Options{}), 1)
	if err := (&Spool{path: path}).create(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
	if err := syncFolder(filepath.Join(path+".none", "spool")); err == nil && runtime.GOOS != "windows" {
		t.Error("no error without a folder")
	}
}

// Each page in use is looked at when the file is opened: those of the trees, and the list of free pages.
func TestEachPageIsChecked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	for seq := range uint64(20) {
		if err := s.Append(seq+1, text(strings.Repeat("x", 1000))); err != nil {
			t.Fatal(err)
		}
	}
	inUse := map[int]string{} // pages by their types
	err := s.db.View(func(tx *bbolt.Tx) error {
		for id := 2; ; id++ {
			info, err := tx.Page(id)
			if err != nil || info == nil {
				return err
			}
			if info.Type != "free" {
				inUse[id] = info.Type
			}
			id += info.OverflowCount
		}
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	types := map[string]int{}
	for id, kind := range inUse {
		types[kind]++
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		binary.NativeEndian.PutUint64(data[id*os.Getpagesize():], 99)
		bad := fmt.Sprint(path, id)
		if err := os.WriteFile(bad, data, 0o600); err != nil {
			t.Fatal(err)
		}
		wantError(t, bad, ErrDamaged, fmt.Sprintf("a page of it is not what was written: page %d says that it is page 99 with ", id))
	}
	if types["leaf"] < 3 || types["branch"] == 0 || types["freelist"] != 1 {
		t.Errorf("the pages in use are %v", types)
	}
}

// An entry that is too short for a message, or has no number, is none that was written.
func TestEntriesOfSomethingElse(t *testing.T) {
	for _, entry := range [][2]string{{"number", strings.Repeat("x", header)}, {"12345678", strings.Repeat("x", header-1)}} {
		path := filepath.Join(t.TempDir(), "spool")
		openAt(t, path, Options{}).Close()
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		put := func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put([]byte(entry[0]), []byte(entry[1])) }
		if err := errors.Join(db.Update(put), db.Close()); err != nil {
			t.Fatal(err)
		}
		err = openAt(t, path, Options{}).Load(func(seq uint64, _ wsnotify.Message) error {
			t.Errorf("message %d was given out", seq)
			return nil
		})
		if !errors.Is(err, ErrDamaged) || !strings.HasSuffix(err.Error(), ": an entry of it is not what was written; "+movedAway) {
			t.Errorf("%q: %v", entry, err)
		}
	}
}

// Windows has numbers of its own, and syscall.EACCES is none of them.
func TestKindsOfErrors(t *testing.T) {
	for _, test := range []struct {
		goos  string
		errno syscall.Errno
		want  error
	}{
		{"windows", 19, ErrReadOnly}, // write protect
		{"windows", 39, ErrDiskFull}, // handle disk full
		{"windows", 112, ErrDiskFull},
		{"windows", 223, ErrDiskFull}, // file too large
		{"windows", 1295, ErrDiskFull},
		{"linux", 112, nil},
		{"linux", 39, nil},
	} {
		if got := kindOf(&os.PathError{Op: "write", Err: test.errno}, test.goos); got != test.want {
			t.Errorf("%d on %s is %v, expected %v", int(test.errno), test.goos, got, test.want)
		}
	}
	for err, want := range map[error]error{
		syscall.ENOSPC: ErrDiskFull, syscall.EDQUOT: ErrDiskFull, syscall.EFBIG: ErrDiskFull,
		syscall.EROFS: ErrReadOnly, fs.ErrPermission: ErrReadOnly, syscall.EINVAL: nil,
	} {
		if got := kindOf(err, "linux"); got != want {
			t.Errorf("%v is %v, expected %v", err, got, want)
		}
	}
	if runtime.GOOS != "windows" {
		for _, err := range []error{syscall.EACCES, syscall.EPERM} {
			if got := kindOf(err, runtime.GOOS); got != ErrReadOnly {
				t.Errorf("%v is %v", err, got)
			}
		}
	}
}

// A file that a tool has written without its list of free pages is whole, too: bbolt finds them by itself.
func TestFileWithoutAListOfFreePages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(func(*bbolt.Tx) error { return nil }), db.Close()); err != nil {
		t.Fatal(err)
	}
	again := openAt(t, path, Options{})
	wantContent(t, again, "1 MessageText m1", "2 MessageText m2")
	appendAll(t, again, 3)
}
