package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"syscall"
)

// Errors of Open and of the methods, under errors.Is. The table in
// docs/spool.md says what to do about each.
var (
	// ErrInUse means that another process has the file open, or this one has.
	ErrInUse = errors.New("spool: the file is in use")
	// ErrFull means that the messages in the file have reached
	// Options.MaxBytes. There is space again when some have been sent.
	ErrFull = errors.New("spool: the spool is full")
	// ErrDiskFull means that the disk, a quota or a limit of the file's size
	// has no space. Nothing is lost of what was stored before.
	ErrDiskFull = errors.New("spool: the disk is full")
	// ErrReadOnly means that the file, its folder or the file system can't be
	// written.
	ErrReadOnly = errors.New("spool: the file can't be written")
	// ErrNotSpool means that the file is something else, or of a later format.
	// It was not changed.
	ErrNotSpool = errors.New("spool: the file is not a spool")
	// ErrDamaged means that the file was cut off, or does not hold what was
	// written to it.
	ErrDamaged = errors.New("spool: the file is damaged")
	// ErrFailed means that the disk failed at a moment that leaves it open
	// whether the latest messages are stored. The Spool takes nothing more; open
	// the file again to see.
	ErrFailed = errors.New("spool: the disk failed")
	// ErrClosed is what methods return after Close.
	ErrClosed = errors.New("spool: closed")
)

// fileError is one of the errors above with the file and the cause.
type fileError struct {
	path  string
	kind  error
	cause error // nil if there is no more to say
}

func (e *fileError) Error() string {
	if e.cause == nil {
		return fmt.Sprintf("%v: %s", e.kind, e.path)
	}
	return fmt.Sprintf("%v: %s: %v", e.kind, e.path, e.cause)
}

func (e *fileError) Unwrap() []error {
	if e.cause == nil {
		return []error{e.kind}
	}
	return []error{e.kind, e.cause}
}

func (s *Spool) fail(kind, cause error) error { return &fileError{s.path, kind, cause} }

// explain finds the kind of an error of the operating system.
func (s *Spool) explain(err error) error {
	var known *fileError
	if err == nil || errors.As(err, &known) {
		return err
	}
	if kind := kindOf(err, runtime.GOOS); kind != nil {
		return s.fail(kind, err)
	}
	return fmt.Errorf("spool: %s: %w", s.path, err)
}

// kindOf is the kind of an error of an operating system; nil for none of ours. The numbers of Windows
// are none of syscall.E…, which package syscall invents there.
func kindOf(err error, goos string) error {
	full, readOnly := []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG}, []error{syscall.EROFS, fs.ErrPermission}
	if goos == "windows" {
		const writeProtect, handleDiskFull, diskFull = syscall.Errno(19), syscall.Errno(39), syscall.Errno(112)
		const fileTooLarge, quotaExceeded = syscall.Errno(223), syscall.Errno(1295)
		full, readOnly = []error{handleDiskFull, diskFull, fileTooLarge, quotaExceeded}, []error{writeProtect, fs.ErrPermission}
	}
	is := func(target error) bool { return errors.Is(err, target) }
	switch {
	case slices.ContainsFunc(full, is):
		return ErrDiskFull
	case slices.ContainsFunc(readOnly, is):
		return ErrReadOnly
	}
	return nil
}
