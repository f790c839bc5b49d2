package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mount gives the test a small file system of its own.
func mount(t *testing.T, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("a full disk is not tested: mounting a small one needs root:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// On a full disk nothing is lost, what is done can still be removed, and it goes
// on when there is space.
func TestFullDisk(t *testing.T) {
	dir := mount(t, "512k")
	path := filepath.Join(dir, "spool")
	s := openAt(t, path, Options{})
	data := strings.Repeat("x", 3000)
	stored := uint64(0)
	var err error
	for err == nil && stored < 1000 {
		if err = s.Append(stored+1, text(data)); err == nil {
			stored++
		}
	}
	if !errors.Is(err, ErrDiskFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("after %d messages: expected ErrDiskFull, got %v", stored, err)
	}
	if got := content(t, s); uint64(len(got)) != stored || s.Stats().Bytes != int64(stored)*(3000+overhead) {
		t.Errorf("%d messages were stored, %d are there and take %d bytes", stored, len(got), s.Stats().Bytes)
	}
	s.Close()
	s = openAt(t, path, Options{})
	for seq := range stored { // one by one, as a server confirms
		if err := s.Remove(seq + 1); err != nil {
			t.Fatalf("message %d can't be removed: %v", seq+1, err)
		}
	}
	wantContent(t, s)
	if err := s.Append(stored+1, text(data)); err != nil {
		t.Errorf("there is space, and %v", err)
	}
}

// A copy that found no room is an error, and leaves nothing that the next Open would
// take for a file of somebody else.
func TestNoRoomForACopy(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "a"), filepath.Join(mount(t, "64k"), "b")
	if err := os.WriteFile(from, make([]byte, 100<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copyNew(from, to); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("expected that the disk is full, got %v", err)
	}
	if exists(to) {
		t.Error("half a file was left")
	}
}

func TestNoRoomForANewFile(t *testing.T) {
	dir := mount(t, "64k")
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 60<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "spool")
	if _, err := Open(path, Options{}); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("expected ErrDiskFull, got %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("it has left %v, %v", entries, err)
	}
	os.Remove(filepath.Join(dir, "other"))
	openAt(t, path, Options{}).Close()
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := mount(t, "1m")
	path := filepath.Join(dir, "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1)
	s.Close()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wantError(t, path, ErrReadOnly, "read-only")
	wantError(t, filepath.Join(dir, "new"), ErrReadOnly, "read-only")
}

// Root may write what others may not, so this is for the rest.
func TestReadOnlyFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("a file without permission is not tested: root may write it")
	}
	path := filepath.Join(t.TempDir(), "spool")
	openAt(t, path, Options{}).Close()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	wantError(t, path, ErrReadOnly, "denied")
}

// A file that is cut off under an open Spool ends that, and not the process.
func TestFileThatIsCutOffMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1, 2, 3)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(4, text("m4")); !errors.Is(err, ErrDamaged) {
		t.Errorf("expected ErrDamaged, got %v", err)
	}
	if err := s.Append(5, text("m5")); !errors.Is(err, ErrDamaged) {
		t.Errorf("expected ErrDamaged again, got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	wantError(t, path, ErrDamaged, "empty")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Options{LockTimeout: -1}) // which is locked no more
	wantContent(t, s, "1 MessageText m1", "2 MessageText m2", "3 MessageText m3")
}
