package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Version is that of the format. It is in the first event of a recording.
const Version = 1

// What an event can be.
const (
	Open    = "open"    // a connection, after its handshake
	Text    = "text"    // a message
	Binary  = "binary"  // likewise
	Ping    = "ping"    // a control frame
	Pong    = "pong"    // likewise
	Close   = "close"   // a close frame, or with code 1006 the end without one
	Failure = "failure" // an attempt that led to no connection
	Lost    = "lost"    // events that the writer was too slow for
)

// Where it went, as the client sees it.
const (
	DirIn  = "in"
	DirOut = "out"
)

var (
	types = []string{Open, Text, Binary, Ping, Pong, Close, Failure, Lost}
	dirs  = []string{DirIn, DirOut}
)

// Abnormal is the code of the end of a connection without a close frame (RFC 6455, section 7.4.1).
const Abnormal = 1006

// Event is a line of a recording.
type Event struct {
	Version int           `json:"v,omitempty"`
	T       time.Duration `json:"t"` // since the first event
	Conn    int           `json:"conn"`
	Dir     string        `json:"dir"`
	Type    string        `json:"type"`

	Text string `json:"text,omitempty"` // of a text message
	Data []byte `json:"data,omitempty"` // of a binary message, a ping or a pong

	URL             string      `json:"url,omitempty"` // of Open and Failure
	Subprotocol     string      `json:"subprotocol,omitempty"`
	Headers         http.Header `json:"headers,omitempty"` // of the request
	ResponseHeaders http.Header `json:"responseHeaders,omitempty"`

	Code   int           `json:"code,omitempty"` // of Close
	Reason string        `json:"reason,omitempty"`
	Silent time.Duration `json:"silent,omitempty"` // before an end by the client without a close frame: how long nothing had come

	Status int    `json:"status,omitempty"` // of Failure: that of the response
	Error  string `json:"error,omitempty"`  // of Failure, and of Close with code 1006
	Count  int    `json:"count,omitempty"`  // of Lost
}

// AppendJSON appends the event's line to dst.
func (e *Event) AppendJSON(dst []byte) ([]byte, error) {
	body, err := e.body()
	if err != nil {
		return dst, err
	}
	return e.appendLine(dst, body), nil
}

// body is the line without its head, which says when.
func (e *Event) body() ([]byte, error) {
	if e.Type == Text && !utf8.ValidString(e.Text) {
		return nil, fmt.Errorf("the text of a message is not UTF-8: %s", quote(e.Text))
	}
	type fields Event
	v := struct {
		Version *int `json:"v,omitempty"` // these two are the head
		T       *int `json:"t,omitempty"`
		*fields
		Text *string `json:"text,omitempty"` // and those below are there also if they are empty
		Data *[]byte `json:"data,omitempty"`
		Code *int    `json:"code,omitempty"`
	}{fields: (*fields)(e)}
	switch data := e.Data; e.Type {
	case Text:
		v.Text = &e.Text
	case Binary, Ping, Pong:
		if data == nil {
			data = []byte{}
		}
		v.Data = &data
	case Close:
		v.Code = &e.Code
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a recording is for people, too
	err := enc.Encode(v)
	return b.Bytes(), err
}

func (e *Event) appendLine(dst, body []byte) []byte {
	dst = append(dst, '{')
	if e.Version != 0 {
		dst = fmt.Appendf(dst, `"v":%d,`, e.Version)
	}
	dst = fmt.Appendf(dst, `"t":%d,`, int64(e.T))
	return append(dst, body[1:]...)
}

// Parse reads a line.
func Parse(line []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(line, &e); err != nil {
		if !bytes.HasSuffix(line, []byte("}")) {
			return e, fmt.Errorf("it ends in the middle of an event, as when the recording program was killed; delete that line: %w", err)
		}
		return e, err
	}
	return e, e.check()
}

func (e *Event) check() error {
	expected := func(field string, got any, want string) error {
		return fmt.Errorf("%s: expected %s, got %v", field, want, got)
	}
	switch {
	case e.Version > Version:
		return expected("v", e.Version, fmt.Sprintf("a recording of version %d", Version))
	case !slices.Contains(types, e.Type):
		return expected("type", fmt.Sprintf("%q", e.Type), strings.Join(types, ", "))
	case !slices.Contains(dirs, e.Dir) && e.Type != Lost && e.Type != Failure:
		return expected("dir", fmt.Sprintf("%q", e.Dir), strings.Join(dirs, " or "))
	case e.T < 0:
		return expected("t", int64(e.T), "nanoseconds since the start")
	case e.Conn < 1 && e.Type != Lost:
		return expected("conn", e.Conn, "1 or more")
	case e.Type == Close && (e.Code < 1000 || e.Code > 4999):
		return expected("code", e.Code, "a close code from 1000 to 4999")
	case (e.Type == Ping || e.Type == Pong) && len(e.Data) > 125:
		return expected("data", fmt.Sprintf("%d bytes", len(e.Data)), "at most 125 bytes in a "+e.Type)
	}
	return nil
}

// IsMessage reports whether the event is a message.
func (e *Event) IsMessage() bool { return e.Type == Text || e.Type == Binary }

// String says what happened, for a failure: `text "hello"`.
func (e *Event) String() string {
	switch e.Type {
	case Text:
		return "text " + quote(e.Text)
	case Binary, Ping, Pong:
		return e.Type + " " + quote(string(e.Data))
	case Close:
		switch {
		case e.Code == Abnormal && e.Dir == DirOut:
			return "the client's end of the connection without a close frame"
		case e.Code == Abnormal:
			return "the end of the connection without a close frame"
		case e.Reason != "":
			return fmt.Sprintf("close %d %s", e.Code, quote(e.Reason))
		}
		return fmt.Sprintf("close %d", e.Code)
	case Failure:
		if e.Status != 0 {
			return fmt.Sprintf("a handshake that is refused with %d", e.Status)
		}
		return "an attempt that fails"
	case Lost:
		return fmt.Sprintf("%d events that were lost", e.Count)
	}
	return "a connection"
}

// quote shows at most 100 characters.
func quote(text string) string {
	if utf8.RuneCountInString(text) > 100 {
		return fmt.Sprintf("%.100q… (%d bytes)", text, len(text))
	}
	return fmt.Sprintf("%q", text)
}
