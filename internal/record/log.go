package record

import (
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// Pending is how many bytes of events may wait for the writer. What would go past it is lost, and counted.
const Pending = 4 << 20

// A Log writes events to w on a goroutine of its own, which there is only while there is something to
// write. Nobody waits for w: if it is slow, events are lost, and a Lost event says how many.
type Log struct {
	w      io.Writer
	failed func(error) // called once, when a write has failed; nothing is written after that

	mu      sync.Mutex // held over no write
	start   time.Time  // of the first event
	last    time.Duration
	begun   bool
	pending []*Line       // not yet given to w
	bytes   int           // of pending, and of what w has
	lost    int           // events since the last that was not
	idle    chan struct{} // not nil while the goroutine runs; closed at its end
	dead    bool
}

// A Line is an event on its way to the writer.
type Line struct {
	text    []byte
	waiting bool // it, and what is behind it, until it is known whether it belongs there
}

// NewLog returns a Log that writes to w. failed is called with the error of the first write that fails.
func NewLog(w io.Writer, failed func(error)) *Log { return &Log{w: w, failed: failed} }

// Add writes e as of this time. The Log keeps nothing of e.
func (l *Log) Add(e Event) { l.propose(e, false) }

// Propose is Add of an event that is about to happen, such as a write: what follows from it must not stand
// before it. Decide says whether it did happen. Nil means that the event is lost.
func (l *Log) Propose(e Event) *Line { return l.propose(e, true) }

func (l *Log) propose(e Event, waiting bool) (line *Line) {
	if !l.fits(len(e.Text)+len(e.Data), nil) {
		return nil
	}
	body, err := e.body() // without the lock: others need not wait for it
	if err != nil {
		return nil
	}
	l.fits(len(body), func() {
		if e.Version, e.T = 0, l.now(); !l.begun {
			e.Version, l.begun = Version, true
		}
		line = &Line{text: e.appendLine(make([]byte, 0, len(body)+32), body), waiting: waiting}
		l.push(line)
	})
	return line
}

// Decide says whether what was proposed has happened.
func (l *Log) Decide(line *Line, happened bool) {
	if line == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	line.waiting = false
	if !happened {
		l.bytes -= len(line.text)
		line.text = nil
	}
	l.wake()
}

// Skip counts an event that is too large to be given to Add.
func (l *Log) Skip() { l.fits(Pending+1, nil) }

// fits counts an event that has no capacity, and calls add, with the lock, for one that has.
func (l *Log) fits(size int, add func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.dead:
		return false
	case l.bytes+size > Pending:
		l.lost++
		return false
	case add == nil:
		return true
	}
	l.addLost()
	add()
	l.wake()
	return true
}

func (l *Log) push(line *Line) {
	l.pending = append(l.pending, line)
	l.bytes += len(line.text)
}

// wake starts the goroutine if it has something to do.
func (l *Log) wake() {
	if l.idle == nil && len(l.pending) > 0 && !l.pending[0].waiting {
		l.idle = make(chan struct{})
		go l.run()
	}
}

// now is the time of an event, which never falls.
func (l *Log) now() time.Duration {
	now := time.Now()
	if !l.begun {
		l.start = now
	}
	l.last = max(l.last, now.Sub(l.start))
	return l.last
}

// addLost says how many events were lost before the next one.
func (l *Log) addLost() {
	if l.lost > 0 {
		gap := Event{T: l.now(), Type: Lost, Count: l.lost}
		text, _ := gap.AppendJSON(nil)
		l.push(&Line{text: text})
		l.lost = 0
	}
}

// run writes what there is, up to the first line that waits.
func (l *Log) run() {
	l.mu.Lock()
	defer func() { // also when the writer ends the goroutine
		if l.dead {
			l.pending = nil
		}
		close(l.idle)
		l.idle = nil
		l.mu.Unlock()
	}()
	var chunk []byte
	for !l.dead {
		n := 0
		for n < len(l.pending) && !l.pending[n].waiting && len(chunk) < 64<<10 {
			chunk = append(chunk, l.pending[n].text...)
			n++
		}
		l.pending = slices.Delete(l.pending, 0, n)
		if n == 0 {
			if l.lost > 0 {
				l.addLost() // what was lost at the end
				continue
			}
			break
		}
		l.write(chunk)
		chunk = chunk[:0]
	}
}

// write writes without the lock that its caller holds. An error is the last.
func (l *Log) write(chunk []byte) {
	l.mu.Unlock()
	n, err := 0, errGoexit
	defer func() {
		if err == nil && n < len(chunk) {
			err = io.ErrShortWrite
		}
		if err != nil {
			l.failed(err)
		}
		l.mu.Lock()
		l.bytes -= len(chunk)
		l.dead = err != nil
	}()
	n, err = l.w.Write(chunk)
}

var errGoexit = errors.New("it ended its goroutine (runtime.Goexit, which a test's FailNow calls too) instead of returning")

// Finish waits until everything has been written, for as long as timeout at most.
func (l *Log) Finish(timeout time.Duration) {
	l.mu.Lock()
	idle := l.idle
	l.mu.Unlock()
	if idle == nil {
		return
	}
	select {
	case <-idle:
	case <-time.After(timeout):
	}
}
