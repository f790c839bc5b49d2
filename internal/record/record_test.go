package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each event comes back from its line as it was, and the line is what docs/recordings.md says.
func TestEventsAreJSONLines(t *testing.T) {
	for _, test := range []struct {
		event Event
		line  string
	}{
		{Event{Version: 1, Conn: 1, Dir: DirOut, Type: Open, URL: "wss://example.com/ws/ada?token=xxxxx", Subprotocol: "v2", Headers: http.Header{"Origin": {"https://example.com"}}},
			`{"v":1,"t":0,"conn":1,"dir":"out","type":"open","url":"wss://example.com/ws/ada?token=xxxxx","subprotocol":"v2","headers":{"Origin":["https://example.com"]}}`},
		{Event{T: 1500 * time.Millisecond, Conn: 1, Dir: DirIn, Type: Text, Text: `<b>"3 & 4"</b>`},
			`{"t":1500000000,"conn":1,"dir":"in","type":"text","text":"<b>\"3 & 4\"</b>"}`},
		{Event{T: 2, Conn: 1, Dir: DirOut, Type: Text}, `{"t":2,"conn":1,"dir":"out","type":"text","text":""}`},
		{Event{T: 2, Conn: 1, Dir: DirOut, Type: Binary, Data: []byte{0, 1, 255}}, `{"t":2,"conn":1,"dir":"out","type":"binary","data":"AAH/"}`},
		{Event{T: 2, Conn: 1, Dir: DirIn, Type: Ping, Data: []byte{}}, `{"t":2,"conn":1,"dir":"in","type":"ping","data":""}`},
		{Event{T: 3, Conn: 2, Dir: DirIn, Type: Close, Code: 1012, Reason: "restart"}, `{"t":3,"conn":2,"dir":"in","type":"close","reason":"restart","code":1012}`},
		{Event{T: 3, Conn: 2, Dir: DirOut, Type: Close, Code: 1006, Silent: time.Second, Error: "no answer"}, `{"t":3,"conn":2,"dir":"out","type":"close","silent":1000000000,"error":"no answer","code":1006}`},
		{Event{T: 4, Conn: 3, Dir: DirIn, Type: Failure, Status: 503, Error: "busy"}, `{"t":4,"conn":3,"dir":"in","type":"failure","status":503,"error":"busy"}`},
	} {
		line, err := test.event.AppendJSON(nil)
		if err != nil || string(line) != test.line+"\n" {
			t.Errorf("%s %v\nwant %s", line, err, test.line)
		}
		back, err := Parse([]byte(test.line))
		if err != nil || !reflect.DeepEqual(back, test.event) {
			t.Errorf("%+v %v\nwant %+v", back, err, test.event)
		}
	}
}

// Only text that is UTF-8 has a line, and data that is nil is no null.
func TestEventsWithoutALine(t *testing.T) {
	before := []byte("before")
	line, err := (&Event{Conn: 1, Dir: DirIn, Type: Text, Text: "\xff" + strings.Repeat("y", 200)}).AppendJSON(before)
	if string(line) != "before" || err == nil || !strings.HasSuffix(err.Error(), "is not UTF-8: \"\\xff"+strings.Repeat("y", 99)+"\"… (201 bytes)") {
		t.Errorf("%q, %v", line, err)
	}
	line, err = (&Event{Conn: 1, Dir: DirIn, Type: Pong}).AppendJSON(nil)
	if want := `{"t":0,"conn":1,"dir":"in","type":"pong","data":""}` + "\n"; string(line) != want || err != nil {
		t.Errorf("%s %v\nwant %s", line, err, want)
	}
}

func TestEventsSayWhatHappened(t *testing.T) {
	long := strings.Repeat("ü", 101)
	for want, e := range map[string]Event{
		`text "hello\n"`: {Type: Text, Text: "hello\n"},
		`text "` + strings.Repeat("ü", 100) + `"… (202 bytes)`: {Type: Text, Text: long},
		`text "` + strings.Repeat("ü", 100) + `"`:              {Type: Text, Text: long[:200]},
		`binary "\x00"`:           {Type: Binary, Data: []byte{0}},
		`ping "p"`:                {Type: Ping, Data: []byte("p")},
		`pong ""`:                 {Type: Pong},
		`close 1000`:              {Type: Close, Code: 1000, Dir: DirOut},
		`close 1012 "restart"`:    {Type: Close, Code: 1012, Reason: "restart"},
		"an attempt that fails":   {Type: Failure},
		"3 events that were lost": {Type: Lost, Count: 3},
		"a connection":            {Type: Open},
		"the end of the connection without a close frame":          {Type: Close, Code: Abnormal, Dir: DirIn},
		"the client's end of the connection without a close frame": {Type: Close, Code: Abnormal, Dir: DirOut},
		"a handshake that is refused with 503":                     {Type: Failure, Status: 503},
	} {
		if got := e.String(); got != want {
			t.Errorf("%+v: %s, want %s", e, got, want)
		}
		if got := e.IsMessage(); got != (e.Type == Text || e.Type == Binary) {
			t.Errorf("%s is a message: %v", want, got)
		}
	}
}

// What is wrong with a recording is said with the line.
func TestReaderNamesTheLine(t *testing.T) {
	const good = `{"t":5,"conn":1,"dir":"in","type":"text","text":"a"}` + "\n"
	for _, test := range []struct{ text, want string }{
		{"\n" + good + "\n" + good, ""},
		{good + `{"t":6,"conn":1,"dir":"in","type":"text","unknown":"field"}`, ""},
		{good + "{", "line 2: it ends in the middle of an event"},
		{good + `{"t":6,"conn":1,"dir":"in","type":"te`, "line 2: it ends in the middle of an event"},
		{good + "\n" + `{"t":4,"conn":1,"dir":"in","type":"text"}`, "line 3: t: expected at least 5, the time of the event before, got 4"},
		{`{"t":-1,"conn":1,"dir":"in","type":"text"}`, "line 1: t: expected nanoseconds since the start, got -1"},
		{`{"t":1,"conn":0,"dir":"in","type":"text"}`, "line 1: conn: expected 1 or more, got 0"},
		{`{"t":0,"conn":0,"type":"lost","count":1}` + "\n" + `{"t":0,"conn":1,"type":"failure"}`, ""},
		{`{"t":1,"conn":1,"type":"text"}`, `line 1: dir: expected in or out, got ""`},
		{`{"t":1,"conn":1,"dir":"up","type":"text"}`, `line 1: dir: expected in or out, got "up"`},
		{`{"t":1,"conn":1,"dir":"in","type":"message"}`, `line 1: type: expected open, text, binary, ping, pong, close, failure, lost, got "message"`},
		{`{"t":1,"conn":1,"dir":"in","type":"close"}`, "line 1: code: expected a close code from 1000 to 4999, got 0"},
		{`{"t":1,"conn":1,"dir":"in","type":"binary","data":"!"}`, "illegal base64 data at input byte 0"},
		{`{"t":1,"conn":1,"dir":"in","type":"close","code":999}`, "line 1: code: expected a close code from 1000 to 4999, got 999"},
		{`{"t":1,"conn":1,"dir":"in","type":"close","code":5000}`, "line 1: code: expected a close code from 1000 to 4999, got 5000"},
		{`{"t":1,"conn":1,"dir":"in","type":"close","code":1000}` + "\n" + `{"t":1,"conn":1,"dir":"in","type":"close","code":4999}`, ""},
		{`{"t":1,"conn":1,"dir":"in","type":"ping","data":"` + strings.Repeat("AAAA", 42) + `"}`, "line 1: data: expected at most 125 bytes in a ping, got 126 bytes"},
		{`{"t":1,"conn":1,"dir":"in","type":"pong","data":"` + strings.Repeat("AAAA", 42) + `"}`, "line 1: data: expected at most 125 bytes in a pong, got 126 bytes"},
		{`{"t":1,"conn":1,"dir":"in","type":"ping","data":"` + strings.Repeat("AAAA", 41) + `AAA="}`, ""},
		{`{"v":2,"t":1,"conn":1,"dir":"in","type":"text"}`, "line 1: v: expected a recording of version 1, got 2"},
		{`{"t":"1","conn":1,"dir":"in","type":"text"}`, "line 1: json: "},
		{strings.Repeat("x", 200<<10), "line 1: "},
	} {
		r := NewReader(strings.NewReader(test.text))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if test.want == "" && err != io.EOF || test.want != "" && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.100q: %v, want %s", test.text, err, test.want)
		}
	}
	if _, err := NewReader(io.MultiReader(strings.NewReader(good), &broken{})).Next(); err != nil {
		t.Error(err)
	}
	r := NewReader(io.MultiReader(strings.NewReader(good), &broken{}))
	_, _ = r.Next()
	if _, err := r.Next(); err == nil || err.Error() != "line 2: the disk is gone" {
		t.Error(err)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error)  { return 0, errors.New("the disk is gone") }
func (broken) Write([]byte) (int, error) { return 0, errors.New("the disk is gone") }

// Long lines are read as any other.
func TestReaderTakesLongLines(t *testing.T) {
	long := Event{Conn: 1, Dir: DirIn, Type: Text, Text: strings.Repeat("äb", 300<<10)}
	short := Event{Conn: 1, Dir: DirIn, Type: Text, Text: "x"}
	var file []byte
	for _, e := range []*Event{&short, &long, &short} {
		file, _ = e.AppendJSON(file)
	}
	r := NewReader(bytes.NewReader(file))
	for _, want := range []Event{short, long, short} {
		if e, err := r.Next(); err != nil || e.Text != want.Text {
			t.Errorf("%d bytes, %v, want %d", len(e.Text), err, len(want.Text))
		}
	}
	if _, err := r.Next(); err != io.EOF || r.Line() != 4 {
		t.Error(err, r.Line())
	}
}

func readAll(t *testing.T, r io.Reader) (events []Event) {
	t.Helper()
	reader := NewReader(r)
	for {
		e, err := reader.Next()
		if err == io.EOF {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// A Log writes each event once, with its time, and its goroutine ends.
func TestLogWritesEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := NewLog(&b, func(err error) { t.Error(err) })
		time.Sleep(time.Hour)
		for i := range 3 {
			l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: fmt.Sprint(i)})
			time.Sleep(time.Second)
		}
		wantNoWait(t, l)
		if events := readAll(t, bytes.NewReader(b.Bytes())); len(events) != 3 {
			t.Errorf("%+v", events)
		}
		wantNoWait(t, l)
		events := readAll(t, &b)
		if len(events) != 3 || events[0].Version != 1 || events[0].T != 0 || events[1].Version != 0 || events[2].T != 2*time.Second || events[2].Text != "2" {
			t.Errorf("%+v", events)
		}
	})
}

// wantNoWait is Finish where what is to be written takes no time.
func wantNoWait(t *testing.T, l *Log) {
	t.Helper()
	began := time.Now()
	if l.Finish(time.Hour); time.Since(began) != 0 {
		t.Errorf("Finish took %v", time.Since(began))
	}
}

// slow takes what it is given when release is closed.
type slow struct {
	bytes.Buffer
	release chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	<-s.release
	return s.Buffer.Write(p)
}

// A slow writer costs events and no time, and the recording says how many.
func TestSlowWriterCostsEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slow{release: make(chan struct{})}
		l := NewLog(w, func(err error) { t.Error(err) })
		const count = 10_000
		start := time.Now()
		for i := range count {
			l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: fmt.Sprintf("%d %s", i, strings.Repeat("x", 1000))})
		}
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: strings.Repeat("x", Pending+1)}) // which never fits
		l.Finish(time.Second)
		if d := time.Since(start); d != time.Second {
			t.Errorf("it took %v", d)
		}
		if n := l.bytes; n > Pending {
			t.Errorf("%d bytes wait", n)
		}
		close(w.release)
		synctest.Wait()
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "after"})
		l.Finish(time.Second)
		events := readAll(t, w)
		lost := 0
		for i, e := range events {
			if e.Type == Lost {
				lost += e.Count
				if i != len(events)-2 {
					t.Errorf("event %d of %d says what was lost", i, len(events))
				}
			}
		}
		if lost == 0 || len(events)-1+lost != count+2 || events[len(events)-1].Text != "after" {
			t.Errorf("%d events, %d lost", len(events), lost)
		}
	})
}

// What follows from an event stands behind it, and an event that did not happen is not there.
func TestProposedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := NewLog(&b, nil)
		text := func(s string) Event { return Event{Conn: 1, Dir: DirOut, Type: Text, Text: s} }
		question, never := l.Propose(text("question")), l.Propose(text("never"))
		time.Sleep(time.Second)
		l.Add(text("answer"))
		l.Finish(time.Second)
		if b.Len() > 0 {
			t.Errorf("%q is written before it is known whether the question is", b.String())
		}
		l.Decide(never, false)
		l.Decide(question, true)
		l.Finish(time.Second)
		events := readAll(t, &b)
		if len(events) != 2 || events[0].Text != "question" || events[0].T != 0 || events[1].Text != "answer" || events[1].T != time.Second {
			t.Errorf("%+v", events)
		}
		if l.bytes != 0 {
			t.Errorf("%d bytes are left", l.bytes)
		}
		l.Decide(nil, true)

		l.Add(text("known"))
		unknown := l.Propose(text("unknown"))
		wantNoWait(t, l)
		if events := readAll(t, &b); len(events) != 1 || events[0].Text != "known" {
			t.Errorf("%+v are written while another is not decided", events)
		}
		l.Decide(unknown, true)
		wantNoWait(t, l)
		if events := readAll(t, &b); len(events) != 1 || events[0].Text != "unknown" {
			t.Errorf("%+v", events)
		}
	})
}

// What waits for the writer takes Pending bytes and no more, and what has no capacity is counted.
func TestPendingIsALimit(t *testing.T) {
	l := NewLog(io.Discard, nil)
	for size, want := range map[int]bool{0: true, Pending - 8: true, Pending - 7: false} {
		l.bytes, l.lost = 8, 0
		added := false
		if fits := l.fits(size, nil); fits != want || l.lost > 0 == want {
			t.Errorf("%d bytes more fit: %v, %d are lost", size, fits, l.lost)
		}
		if l.lost = 0; l.fits(size, func() { added = true }) != want || added != want || l.lost > 0 == want {
			t.Errorf("%d bytes more were added: %v, %d are lost", size, added, l.lost)
		}
	}
}

// What was lost at the end is counted, too.
func TestLostAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &slow{release: make(chan struct{})}
		l := NewLog(w, nil)
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "first"})
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: strings.Repeat("x", Pending)})
		close(w.release)
		l.Finish(time.Second)
		events := readAll(t, w)
		if len(events) != 2 || events[1].Type != Lost || events[1].Count != 1 {
			t.Errorf("%+v", events)
		}
	})
}

// What is skipped, and what has no line, is no reason to wait: the one is counted, the other left out.
func TestSkippedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := NewLog(&b, func(err error) { t.Error(err) })
		l.Skip()
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "\xff"})
		l.Skip()
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "after"})
		l.Finish(time.Second)
		events := readAll(t, &b)
		if len(events) != 2 || events[0].Type != Lost || events[0].Count != 2 || events[1].Text != "after" {
			t.Errorf("%+v", events)
		}
	})
}

// half writes half of what it is given, and says nothing of it.
type half struct{}

func (half) Write(p []byte) (int, error) { return len(p) / 2, nil }

func TestWriterThatWritesHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		l := NewLog(half{}, func(err error) { errs = append(errs, err) })
		l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "x"})
		l.Finish(time.Second)
		if len(errs) != 1 || errs[0] != io.ErrShortWrite {
			t.Error(errs)
		}
	})
}

// A writer that fails is reported once, and not written to again.
func TestFailedWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		l := NewLog(broken{}, func(err error) { errs = append(errs, err) })
		for range 3 {
			l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "x"})
			line := l.Propose(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "y"})
			wantNoWait(t, l)
			l.Decide(line, true)
			wantNoWait(t, l)
		}
		if len(errs) != 1 || errs[0].Error() != "the disk is gone" {
			t.Error(errs)
		}
		if len(l.pending) > 0 {
			t.Errorf("%d events wait for a writer that has failed", len(l.pending))
		}
	})
}

// exits ends the goroutine.
type exits struct{}

func (exits) Write([]byte) (int, error) {
	runtime.Goexit()
	return 0, nil
}

func TestWriterThatEndsItsGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs []error
		l := NewLog(exits{}, func(err error) { errs = append(errs, err) })
		for range 3 {
			l.Add(Event{Conn: 1, Dir: DirIn, Type: Text, Text: "x"})
			wantNoWait(t, l)
		}
		if len(errs) != 1 || errs[0] != errGoexit {
			t.Error(errs)
		}
	})
}

// A stream of any length is read in the memory of one line.
func TestReaderIsAStream(t *testing.T) {
	line, _ := (&Event{Conn: 1, Dir: DirIn, Type: Text, Text: strings.Repeat("x", 1000)}).AppendJSON(nil)
	const total = 16 << 20
	r := NewReader(io.LimitReader(&repeat{line: line}, int64(total/len(line)*len(line))))
	count := 0
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for {
		if _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if count++; count%4000 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if count != total/len(line) || after.HeapAlloc > before.HeapAlloc+4<<20 {
		t.Errorf("%d events, heap %d, then %d", count, before.HeapAlloc, after.HeapAlloc)
	}
}

type repeat struct {
	line []byte
	at   int
}

func (r *repeat) Read(p []byte) (n int, _ error) {
	for n < len(p) {
		k := copy(p[n:], r.line[r.at:])
		n += k
		r.at = (r.at + k) % len(r.line)
	}
	return n, nil
}

// Whatever the bytes are, reading ends with an error or with events that are written as they were read.
func FuzzReader(f *testing.F) {
	f.Add([]byte(`{"v":1,"t":0,"conn":1,"dir":"out","type":"open","url":"ws://x/"}` + "\n" + `{"t":1,"conn":1,"dir":"in","type":"binary","data":"AAH/"}`))
	f.Add([]byte(`{"t":3,"conn":2,"dir":"in","type":"close","code":1012,"reason":"restart"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data))
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			line, err := e.AppendJSON(nil)
			if err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			again, err := Parse(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			second, _ := again.AppendJSON(nil)
			if !bytes.Equal(line, second) {
				t.Fatalf("%s\n%s", line, second)
			}
		}
	})
}
