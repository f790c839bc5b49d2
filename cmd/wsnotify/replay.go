package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	jsonl "github.com/wsnotify/wsnotify/internal/record"
)

// replay is the server's side of a recording, for whoever connects. It is read as a stream, twice: to see
// whether it can be played, and to play it.
type replay struct {
	path  string
	speed float64       // 0: without waiting
	from  time.Duration // in the recording
	say   func(format string, args ...any)
	hosts hosts // that it answers to

	file  *os.File
	lines *jsonl.Reader
	next  jsonl.Event // not played yet
	line  int         // of next
	over  bool        // there is no next

	conns   []replayed // in their order, from the one that is open at from
	busy    chan struct{}
	playing atomic.Int32  // the number of the connection
	ended   chan error    // of capacity 1: how it went
	done    chan struct{} // closed when it is over
	once    sync.Once

	mu       sync.Mutex
	failures []int // the statuses of the next handshakes; 0 for no answer
}

// replayed is what has to be known of a connection before it is played.
type replayed struct {
	subprotocol string
	mute        time.Duration // when the server fell silent for good; negative if it did not
	failures    []int         // of the attempts behind it
}

// lateness is how much later than in the recording a client may do what it did there.
const lateness = 10 * time.Second

// open looks through the recording.
func (p *replay) open() error {
	p.busy, p.ended, p.done = make(chan struct{}, 1), make(chan error, 1), make(chan struct{})
	file, err := os.Open(p.path)
	if err != nil {
		return fmt.Errorf("--replay: %w", err)
	}
	p.file = file
	if err := p.survey(); err != nil {
		file.Close()
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		file.Close()
		return fmt.Errorf("--replay: %w; a recording is read twice, so it can't be a pipe", err)
	}
	p.lines = jsonl.NewReader(file)
	for p.advance(); !p.over && p.early(&p.next); p.advance() {
	}
	return nil
}

// early reports whether an event is passed over.
func (p *replay) early(e *jsonl.Event) bool { return e.T < p.from }

// survey finds out what p.conns has to know.
func (p *replay) survey() error {
	lines := jsonl.NewReader(p.file)
	var current *replayed
	number, events := 0, 0
	var lastIn, last time.Duration
	for {
		e, err := lines.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("--replay %s: %w", p.path, err)
		}
		last = e.T
		if e.Type == jsonl.Failure && !p.early(&e) {
			if current == nil || len(p.conns) == 0 {
				p.failures = append(p.failures, e.Status)
			} else {
				current.failures = append(current.failures, e.Status)
			}
		}
		if e.Type == jsonl.Failure || e.Type == jsonl.Lost {
			continue
		}
		if e.Conn != number || e.Type == jsonl.Open {
			number = e.Conn
			current = &replayed{subprotocol: e.Subprotocol, mute: -1}
			lastIn = e.T
			events = 0
		}
		if !p.early(&e) {
			if events++; events == 1 {
				p.conns = append(p.conns, *current)
				current = &p.conns[len(p.conns)-1]
			}
		}
		switch {
		case e.Type == jsonl.Close && e.Dir == jsonl.DirOut && e.Code == jsonl.Abnormal:
			if current.mute = e.T - e.Silent; e.Silent == 0 {
				current.mute = lastIn
			}
		case e.Dir == jsonl.DirIn:
			lastIn = e.T
		}
	}
	if len(p.conns) == 0 && len(p.failures) == 0 {
		return fmt.Errorf("--replay %s: nothing is left to be played from %v on; it ends at %v", p.path, p.from, last)
	}
	return nil
}

// advance reads the next event that is played.
func (p *replay) advance() {
	for {
		e, err := p.lines.Next()
		if err != nil { // the end: open has read all
			p.over = true
			return
		}
		p.line = p.lines.Line()
		if e.Type != jsonl.Failure && e.Type != jsonl.Lost {
			p.next = e
			return
		}
	}
}

// finish ends the replay with its first difference, or nil.
func (p *replay) finish(err error) {
	p.once.Do(func() {
		p.ended <- err
		close(p.done)
	})
}

// ServeHTTP gives a handshake the fate that it had.
func (p *replay) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case p.busy <- struct{}{}: // a client that reconnects is faster than the end of its connection here
		defer func() { <-p.busy }()
	case <-time.After(2 * time.Second):
		p.say("! another connection is refused while connection %d is played", p.playing.Load())
		http.Error(w, "a recording is played for one client at a time", http.StatusServiceUnavailable)
		return
	case <-p.done:
		http.Error(w, "the recording is over", http.StatusServiceUnavailable)
		return
	}
	p.mu.Lock()
	refused, status := len(p.failures) > 0, 0
	if refused {
		status, p.failures = p.failures[0], p.failures[1:]
	}
	last := len(p.failures) == 0 && p.over
	p.mu.Unlock()
	switch {
	case refused && status >= 200:
		p.say("! refused with %d", status)
		http.Error(w, "refused, as in the recording", status)
	case refused:
		p.say("! not answered")
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	case p.over:
		http.Error(w, "the recording is over", http.StatusServiceUnavailable)
	default:
		err := p.connection(w, r)
		p.mu.Lock()
		last = len(p.failures) == 0 && p.over
		p.mu.Unlock()
		if err != nil {
			p.finish(err)
		}
	}
	if last {
		p.finish(nil)
	}
}

// heardMessage is what a client has sent.
type heardMessage struct {
	typ  websocket.MessageType
	data []byte
}

// A stage is a connection on which the recording is played.
type stage struct {
	p      *replay
	conn   *websocket.Conn
	number int
	muted  atomic.Bool
	mute   time.Duration
	heard  chan heardMessage // closed at the end
	end    chan struct{}     // closed before that
	err    error             // why; valid after end
	at     time.Time         // when the event before was played
	t      time.Duration     // when that was in the recording
	closed bool              // by this side
}

// connection plays what belongs to one connection. The error is a difference.
func (p *replay) connection(w http.ResponseWriter, r *http.Request) error {
	info := p.conns[0]
	p.conns = p.conns[1:]
	s := &stage{p: p, number: p.next.Conn, mute: info.mute, heard: make(chan heardMessage, 1024), end: make(chan struct{})}
	p.playing.Store(int32(s.number))
	opt := &websocket.AcceptOptions{
		OriginPatterns:  []string{"localhost:*", "127.0.0.1:*"},
		CompressionMode: websocket.CompressionContextTakeover,
		OnPingReceived:  func(context.Context, []byte) bool { return !s.muted.Load() },
	}
	if info.subprotocol != "" {
		opt.Subprotocols = []string{info.subprotocol}
	}
	conn, err := websocket.Accept(w, r, opt)
	if err != nil {
		p.conns = append([]replayed{info}, p.conns...)
		p.say("! %s", oneLine(err.Error()))
		return nil
	}
	defer conn.CloseNow()
	conn.SetReadLimit(-1)
	s.conn = conn
	p.say("+ connection %d", s.number)
	p.mu.Lock()
	p.failures = append(p.failures, info.failures...)
	p.mu.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	go s.read(ctx)
	defer func() { cancel(); <-s.end }()
	s.at, s.t = time.Now(), max(p.next.T, p.from)
	for first := true; !p.over && p.next.Conn == s.number && (first || p.next.Type != jsonl.Open); first = false {
		e, line := p.next, p.line
		err := s.play(ctx, &e)
		if d := (*difference)(nil); errors.As(err, &d) {
			return differs(line, &e, d)
		}
		if err != nil { // the server ends
			return nil
		}
		p.advance()
	}
	p.say("- connection %d", s.number)
	return nil
}

// difference is what was expected, and what came.
type difference struct{ expected, got string }

func (d *difference) Error() string { return fmt.Sprintf("expected %s, got %s", d.expected, d.got) }

func differs(line int, e *jsonl.Event, d *difference) error {
	err := fmt.Errorf("the client differs from the recording at line %d, after %v on connection %d", line, e.T, e.Conn)
	return &failure{code: exitFailure, err: err, details: []string{"expected " + d.expected, "got      " + d.got}}
}

// errEnds ends what is played, and is no difference.
var errEnds = errors.New("the server ends")

// read hears the client until its end.
func (s *stage) read(ctx context.Context) {
	defer close(s.heard)
	defer close(s.end)
	for {
		typ, data, err := s.conn.Read(ctx)
		if err != nil {
			s.err = err
			return
		}
		select {
		case s.heard <- heardMessage{typ, data}:
		case <-ctx.Done():
			s.err = ctx.Err()
			return
		}
	}
}

func (s *stage) scaled(d time.Duration) time.Duration {
	if s.p.speed == 0 {
		return 0
	}
	return time.Duration(float64(d) / s.p.speed)
}

// pause waits until it is time for an event at t.
func (s *stage) pause(t time.Duration) error {
	timer := time.NewTimer(time.Until(s.at.Add(s.scaled(t - s.t))))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.p.done:
		return errEnds
	case <-s.end:
		return &difference{"the connection to go on", s.ending()}
	}
}

// ending is how the client has ended the connection.
func (s *stage) ending() string {
	e := jsonl.Event{Type: jsonl.Close, Dir: jsonl.DirOut, Code: jsonl.Abnormal}
	var ce websocket.CloseError
	if errors.As(s.err, &ce) {
		e.Code, e.Reason = int(ce.Code), ce.Reason
	}
	return e.String()
}

func (s *stage) play(ctx context.Context, e *jsonl.Event) error {
	if s.mute >= 0 && e.T > s.mute {
		s.pause(s.mute) // whether the client may end meanwhile, the event says
		s.mute = -1
		s.muted.Store(true)
	}
	if e.Type == jsonl.Open {
		return nil
	}
	if e.Dir == jsonl.DirIn {
		return s.server(ctx, e)
	}
	return s.client(e)
}

// server does what the server did.
func (s *stage) server(ctx context.Context, e *jsonl.Event) error {
	if e.Type == jsonl.Pong || e.Type == jsonl.Close && s.closed {
		return nil
	}
	if err := s.pause(e.T); err != nil {
		return err
	}
	s.at, s.t = time.Now(), e.T
	var err error
	write, cancel := context.WithTimeout(ctx, lateness)
	defer cancel()
	switch e.Type {
	case jsonl.Text:
		err = s.conn.Write(write, websocket.MessageText, []byte(e.Text))
	case jsonl.Binary:
		err = s.conn.Write(write, websocket.MessageBinary, e.Data)
	case jsonl.Ping:
		go func() {
			ping, cancel := context.WithTimeout(ctx, lateness)
			defer cancel()
			s.conn.Ping(ping)
		}()
	case jsonl.Close:
		if d := s.nothingMore(e); d != nil {
			return d
		}
		s.closed = true
		if e.Code == jsonl.Abnormal {
			s.conn.CloseNow()
			return nil
		}
		code := websocket.StatusCode(e.Code)
		s.conn.Close(code, e.Reason) // it waits for the answer
	}
	if err != nil {
		return &difference{"to send " + e.String(), oneLine(err.Error())}
	}
	return nil
}

// nothingMore compares what came with what had come when the connection ended.
func (s *stage) nothingMore(e *jsonl.Event) error {
	for {
		select {
		case m, ok := <-s.heard:
			if !ok {
				return nil
			}
			if !m.isPing() {
				return &difference{e.String(), m.String()}
			}
		default:
			return nil
		}
	}
}

func (m heardMessage) isPing() bool {
	return m.typ == websocket.MessageText && string(m.data) == "ping"
}

func (m heardMessage) String() string {
	e := jsonl.Event{Type: jsonl.Text, Text: string(m.data)}
	if m.typ == websocket.MessageBinary {
		e = jsonl.Event{Type: jsonl.Binary, Data: m.data}
	}
	return e.String()
}

// client expects what the client did.
func (s *stage) client(e *jsonl.Event) error {
	if e.Type == jsonl.Ping || e.Type == jsonl.Pong || e.Type == jsonl.Text && e.Text == "ping" || e.Type == jsonl.Close && s.closed {
		return nil // how often pings come is not compared, and the answer to a close frame has come
	}
	timer := time.NewTimer(time.Until(s.at.Add(s.scaled(e.T-s.t) + lateness)))
	defer timer.Stop()
	for {
		select {
		case m, ok := <-s.heard:
			switch {
			case !ok:
				s.closed = true
				if got := s.ending(); e.Type != jsonl.Close || got != e.String() {
					return &difference{e.String(), got}
				}
			case m.isPing():
				continue
			case e.Type == jsonl.Text && m.typ == websocket.MessageText && string(m.data) == e.Text:
			case e.Type == jsonl.Binary && m.typ == websocket.MessageBinary && bytes.Equal(m.data, e.Data):
			default:
				return &difference{e.String(), m.String()}
			}
			s.at, s.t = time.Now(), e.T
			return nil
		case <-timer.C:
			return &difference{e.String(), fmt.Sprintf("nothing, %v after it was due", lateness)}
		case <-s.p.done:
			return errEnds
		}
	}
}

// run serves the recording at listener until it is over, a client differs, or ctx ends.
func (p *replay) run(ctx context.Context, listener net.Listener, out io.Writer) error {
	defer p.file.Close()
	at := listener.Addr().String()
	fmt.Fprintf(out, "replay     %s\nWebSocket  ws://%s/ws/{user}\n\n", oneLine(p.path), at)
	server := &http.Server{Handler: p.hosts.only(p), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	var err error
	select {
	case err = <-served:
		return err
	case err = <-p.ended:
		if err == nil {
			fmt.Fprintln(out, "the recording is over, and the client did what it did there")
		}
	case <-ctx.Done():
		p.finish(nil)
	}
	p.busy <- struct{}{} // what is being played has ended
	shutdown, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(shutdown))
}

// serve is wsnotify serve --replay.
func (p *replay) serve(cmd *cobra.Command, addr string, names []string) error {
	if err := p.open(); err != nil {
		return err
	}
	listener, err := listenAt(addr)
	if err != nil {
		p.file.Close()
		return err
	}
	out := cmd.OutOrStdout()
	p.say = func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	p.hosts = hostsOf(listener.Addr(), addr, names)
	return p.run(cmd.Context(), listener, out)
}

func (p *replay) flags(f *pflag.FlagSet) {
	f.StringVar(&p.path, "replay", "", "play the server's side of a recording in this `file`, and end with status 1 when a\nclient does otherwise")
	f.Float64Var(&p.speed, "speed", 1, "with --replay, play this many `times` as fast; 0 for no waiting")
	f.Var(duration{at: &p.from}, "from", "with --replay, begin at this `time` of the recording")
}

// changed returns those of the flags that were given.
func changed(cmd *cobra.Command, names ...string) (given []string) {
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	return given
}

// check says what is wrong with the flags of serve that belong to --replay.
func (p *replay) check(others ...string) error {
	switch {
	case p.path == "" && (p.speed != 1 || p.from != 0):
		return usage("--speed and --from are of use with --replay alone")
	case p.path != "" && len(others) > 0:
		return usage("--replay and %s exclude each other: a recording says what the server does", strings.Join(others, ", "))
	case p.speed < 0:
		return usage("--speed %v: expected a factor such as 10, or 0 for no waiting", p.speed)
	}
	return nil
}
