package wsnotifytest

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/wsnotify/wsnotify/internal/record"
)

// A Recording is what happened on the connections of one client, as wsnotify.Config.Record, "wsnotify
// connect --record" and "wsnotify listen --record" write it: JSON Lines, which docs/recordings.md describes.
// Replay plays one. A test may change Events before that.
type Recording struct {
	Events []Event
}

// An Event is a line of a recording.
type Event struct {
	T    time.Duration // since the first event
	Conn int           // the number of the connection: 1, 2, …
	Dir  string        // "in" or "out", as the client sees it
	Type string        // "open", "text", "binary", "ping", "pong", "close", "failure" or "lost"

	Text string // of a text message
	Data []byte // of a binary message, a ping or a pong

	URL             string // of an open and of a failure, without secrets
	Subprotocol     string // of an open, as the next two
	Headers         http.Header
	ResponseHeaders http.Header

	Code   int           // of a close: 1005 if the frame had none, 1006 if there was no frame
	Reason string        // of a close
	Silent time.Duration // of a close of the client with 1006: how long the server had been silent
	Status int           // of a failure: the status of the response; 0 if there was none
	Error  string        // of a failure, and of a close with 1006
	Count  int           // of a lost: how many events are missing, since the writer was too slow

	// Do is called by Replay when the event has been played, on a goroutine of its own for all of them, with the
	// connection of the event: a place for faults, such as (*Conn).Drop. It is not part of the file.
	Do func(c *Conn)
}

// String says what the event is: `text "hello"`.
func (e *Event) String() string {
	line := e.line()
	return line.String()
}

// line is the event as it stands in a file.
func (e *Event) line() record.Event {
	return record.Event{
		T: e.T, Conn: e.Conn, Dir: e.Dir, Type: e.Type, Text: e.Text, Data: e.Data,
		URL: e.URL, Subprotocol: e.Subprotocol, Headers: e.Headers, ResponseHeaders: e.ResponseHeaders,
		Code: e.Code, Reason: e.Reason, Silent: e.Silent, Status: e.Status, Error: e.Error, Count: e.Count,
	}
}

func eventOf(l record.Event) Event {
	return Event{
		T: l.T, Conn: l.Conn, Dir: l.Dir, Type: l.Type, Text: l.Text, Data: l.Data,
		URL: l.URL, Subprotocol: l.Subprotocol, Headers: l.Headers, ResponseHeaders: l.ResponseHeaders,
		Code: l.Code, Reason: l.Reason, Silent: l.Silent, Status: l.Status, Error: l.Error, Count: l.Count,
	}
}

// ReadRecording reads a recording to its end, line by line. An error names the line. Besides the events it
// needs memory for one line, however long the recording is.
func ReadRecording(r io.Reader) (*Recording, error) {
	lines := record.NewReader(r)
	rec := new(Recording)
	for {
		l, err := lines.Next()
		switch {
		case err == io.EOF:
			return rec, nil
		case err != nil:
			return nil, fmt.Errorf("wsnotifytest: reading a recording: %w", err)
		}
		rec.Events = append(rec.Events, eventOf(l))
	}
}

// WriteTo writes the recording as ReadRecording reads it, and returns how many bytes it has written.
func (r *Recording) WriteTo(w io.Writer) (int64, error) {
	out := bufio.NewWriter(w)
	var n int64
	var line []byte
	for i := range r.Events {
		l := r.Events[i].line()
		if i == 0 {
			l.Version = record.Version
		}
		var err error
		if line, err = l.AppendJSON(line[:0]); err != nil {
			return n - int64(out.Buffered()), fmt.Errorf("wsnotifytest: event %d: %w", i+1, err)
		}
		k, _ := out.Write(line) // its error is that of Flush, too
		n += int64(k)
	}
	err := out.Flush()
	return n - int64(out.Buffered()), err
}

// Message returns the nth message of the recording, text or binary, in either direction, counting from 1; nil
// if there are fewer. It is a pointer into Events, to set its Do:
//
//	rec.Message(3).Do = (*wsnotifytest.Conn).Drop // the connection is lost behind the third message
func (r *Recording) Message(n int) *Event {
	for i := range r.Events {
		if e := &r.Events[i]; e.Type == record.Text || e.Type == record.Binary {
			if n--; n == 0 {
				return e
			}
		}
	}
	return nil
}
