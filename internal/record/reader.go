package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// A Reader reads a recording event by event, in memory for one line.
type Reader struct {
	r    *bufio.Reader
	line int
	last time.Duration
	long []byte // a line that is longer than the buffer of r
}

// NewReader returns a Reader of the recording r.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(r, 64<<10)} }

// Next returns the next event, or io.EOF after the last. Its errors name the line.
func (r *Reader) Next() (Event, error) {
	for {
		line, err := r.next()
		if len(line) == 0 && err != nil {
			return Event{}, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		e, bad := Parse(line)
		if bad == nil && e.T < r.last {
			bad = fmt.Errorf("t: expected at least %d, the time of the event before, got %d", int64(r.last), int64(e.T))
		}
		if bad != nil {
			return e, r.wrong(bad)
		}
		r.last = e.T
		return e, nil
	}
}

// Line is the number of the line of the last event.
func (r *Reader) Line() int { return r.line }

func (r *Reader) wrong(err error) error { return fmt.Errorf("line %d: %w", r.line, err) }

// next returns a line, which is valid until the next call.
func (r *Reader) next() ([]byte, error) {
	r.line++
	line, err := r.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = append(r.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) {
			line, err = r.r.ReadSlice('\n')
			r.long = append(r.long, line...)
		}
		line = r.long
	}
	if err != nil && err != io.EOF {
		return nil, r.wrong(err)
	}
	return line, err
}
