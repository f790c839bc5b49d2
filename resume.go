// This file has the client resume where it was: what the server's positions
// say of each message, what a new connection asks for, and what is saved for
// another process. The positions themselves are kept by internal/position.

package wsnotify

import (
	"fmt"
	"math"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/envelope"
	"github.com/wsnotify/wsnotify/internal/inbox"
	"github.com/wsnotify/wsnotify/internal/position"
)

// Resume has a client continue after the last message that it got, for servers
// that number their messages, or give them ids, and send on from one that they
// are asked for: nothing is missed while there is no connection, nothing comes
// twice, and no gap goes unnoticed. A zero Resume is off.
//
// There are two positions for each stream. The received one is that of the last
// message that was put into the inbox. A reconnect continues behind it, since the
// inbox survives: Query, DialRequest.Position and Handshake.Position give it to
// the server. The handled one is that of the last message whose callbacks,
// handlers and loop bodies have all returned, and of all before it; the body of a
// loop over Notifications or Messages holds its message until it asks for the
// next. The Store keeps the handled one, so another process continues behind it.
//
// Duplicates are dropped before the callbacks and counted in Status.Duplicates:
// numbers at or below the received one, and opaque positions that are among the
// last 4096 of the client. Answers to Request, what Handshake.Receive has
// returned, and what Heartbeat.Answer has answered count as received and handled,
// and are never dropped.
//
// Positions are of one user: a Connect or Run with another URL or user begins
// with none, unless the Store or SetPosition gives one.
type Resume struct {
	// Position returns the position of a message, "" if it has none, and the
	// stream that it belongs to, "" where there is only one. It runs where
	// messages are read, so it must be fast and not block; it must not keep or
	// change Data. PositionField makes one. Nil means no Resume.
	Position func(Message) (stream, position string)
	// Query names a parameter of the dialled URL that carries the received
	// position of stream "". It is set before BeforeDial runs, and left out as
	// long as there is no position.
	Query string
	// Order says what may be concluded from two positions of a stream.
	Order PositionOrder
	// OnGap reports what is missing between two messages, with
	// PositionConsecutive: on the goroutine of the callbacks, before those of the
	// message behind the gap. A gap ends nothing, and the messages go on.
	OnGap func(Gap)
	// OnHandlerError says what happens to a message whose handler returned an
	// error: see Handle.
	OnHandlerError HandlerErrorPolicy
	// Store keeps the handled positions when the process ends. A process that is
	// killed at any moment misses nothing, and handles at most those messages
	// again that it had handled since the last Save. Nil means that positions are
	// in memory only.
	Store PositionStore
	// SaveEvery is how long after the first change at the latest the Store is
	// given the positions. Zero means 1 s. Negative means that each position is
	// saved before the callbacks of the next message. The end of a Connect or Run
	// saves them, too.
	SaveEvery time.Duration
}

// PositionOrder says what may be concluded from two positions of a stream.
type PositionOrder int

const (
	// PositionOpaque means that positions are equal, or not.
	PositionOpaque PositionOrder = iota
	// PositionIncreasing means that positions are decimal numbers, and later
	// messages have higher ones.
	PositionIncreasing
	// PositionConsecutive means that positions are whole numbers, each higher by
	// 1 than the one before.
	PositionConsecutive
)

// String returns "opaque", "increasing" or "consecutive".
func (o PositionOrder) String() string {
	return name(int(o), "PositionOrder", "opaque", "increasing", "consecutive")
}

// HandlerErrorPolicy says what happens to a message whose handler returned an
// error.
type HandlerErrorPolicy int

const (
	// HandlerErrorContinue reports the error to OnError and goes on; the message
	// counts as handled.
	HandlerErrorContinue HandlerErrorPolicy = iota
	// HandlerErrorRedeliver also has the server send the message again: what is
	// behind it in the inbox is discarded, the received positions of all streams
	// go back to the handled ones, and the client reconnects as BackOff says,
	// whose counter is reset only when the message has been handled. Messages
	// without a position that are behind it are lost. A message without a
	// position can't be asked for, so it is as with HandlerErrorContinue. A
	// *ParseError and a *DecodeError are not errors of a handler.
	HandlerErrorRedeliver
)

// String returns "continue" or "redeliver".
func (p HandlerErrorPolicy) String() string {
	return name(int(p), "HandlerErrorPolicy", "continue", "redeliver")
}

// Gap is what is missing in a stream: the positions between After and Next.
type Gap struct {
	Stream string
	After  string // received before the gap
	Next   string // of the message behind it
	Epoch  uint64 // of the connection on which that came
}

// String returns one line, such as "stream \"orders\": the messages between 7 and
// 12 are missing".
func (g Gap) String() string {
	return fmt.Sprintf("%sthe messages between %s and %s are missing", ofStream(g.Stream), line(g.After), line(g.Next))
}

func ofStream(stream string) string {
	if stream == "" {
		return ""
	}
	return `stream "` + line(stream) + `": `
}

// ResumeError says that a server began a connection before the position that
// it was asked for, so that it does not resume, or counts anew. Its messages are
// dropped as duplicates until they are past that position, or SetPosition says
// where to continue. What was dropped by then comes again only on another
// connection: Reconnect, and call SetPosition in BeforeDial. OnError gets it once
// for each connection, for the first such stream.
type ResumeError struct {
	Stream string
	Asked  string // the received position
	Got    string // the position of the first message
}

// Error says what to do.
func (e *ResumeError) Error() string {
	return fmt.Sprintf("wsnotify: %sasked the server to resume behind %s, but it began with %s; "+
		"its messages are dropped as duplicates until they are past that: if it counts anew, call SetPosition and Reconnect",
		ofStream(e.Stream), line(e.Asked), line(e.Got))
}

// PositionStore keeps the handled positions of a client. It belongs to one
// Client at a time, and its methods are called one at a time, without a lock. A Load
// that panics does so in Connect or Run, and a Save that panics has failed. The
// module wsnotify/spool has one that keeps them in the file of its messages.
type PositionStore interface {
	// Load returns the position of each stream. Connect and Run call it, on a
	// goroutine of the client, when they begin with another URL or user than the
	// call before. Its error is returned, and nothing is dialled.
	Load() (map[string]string, error)
	// Save keeps the positions of all streams that changed since the last Save
	// that succeeded; those of other streams stay. It runs on a goroutine of the
	// client, or on that of the callbacks if SaveEvery is negative. An error is
	// reported to OnError, and the positions are saved again after SaveEvery.
	Save(map[string]string) error
}

// PositionField returns a Resume.Position for messages with a position in a
// field of their outermost JSON object: a string, or a number as it stands. All
// messages are of the stream "", and binary ones have no position. A client finds
// the number in such a field without an allocation, which it can't with a function
// of your own.
//
//go:noinline
func PositionField(name string) func(Message) (stream, position string) {
	field := envelope.NewIDField(name)
	return func(m Message) (stream, position string) {
		switch m.Type {
		case MessageText:
			id := field.Scan(m.Data)
			return "", string(id)
		case nameOfField:
			return "", name
		}
		return "", ""
	}
}

// nameOfField is the type of no message: asked with it, a function that
// PositionField has made returns the name of its field.
const nameOfField MessageType = -1

// fieldOf returns the field of a function that PositionField has made, and nil for
// any other function. A client that knows the field needs no string for each
// message: Resume costs 9 % of a message of 120 bytes then, and 17 % otherwise. It
// knows such a function by its code, which is one for all of them as PositionField
// is not inlined.
func fieldOf(f func(Message) (stream, position string)) *envelope.IDField {
	if reflect.ValueOf(f).Pointer() != reflect.ValueOf(PositionField("")).Pointer() {
		return nil
	}
	_, name := f(Message{Type: nameOfField})
	return envelope.NewIDField(name)
}

// Position returns the handled position of a stream: that of the last message
// whose callbacks have all returned; "" if there is none, and without
// Config.Resume.
func (c *Client) Position(stream string) string {
	if !c.made {
		panic(prefix + "Position: " + useNew)
	}
	if c.resume == nil {
		return ""
	}
	return c.resume.positions.Handled(stream)
}

// SetPosition makes position the received and handled one of a stream, at once
// and for the next connection. "" means from anywhere: all numbers are new then.
// Before Connect it takes the place of what the Resume.Store has. Without
// Config.Resume it does nothing.
func (c *Client) SetPosition(stream, position string) {
	if !c.made {
		panic(prefix + "SetPosition: " + useNew)
	}
	if rs := c.resume; rs != nil {
		rs.positions.Set(stream, position)
		rs.mu.Lock()
		running := rs.running != nil
		rs.mu.Unlock()
		if running { // else begin saves it
			rs.changed()
		}
	}
}

// Position returns the received position of a stream, for a header or a path;
// "" if there is none, and without Config.Resume.
func (r *DialRequest) Position(stream string) string { return r.resume.received(stream) }

// Position returns the received position of a stream, for servers that want it
// in a message; "" if there is none, and without Config.Resume.
func (h *Handshake) Position(stream string) string { return h.conn.c.resume.received(stream) }

// resume is the Config.Resume of a client at work. It is nil without one.
type resume struct {
	Resume
	c         *Client
	field     *envelope.IDField // of PositionField; nil if Position is another function
	positions *position.Tracker

	user string // URL and user of the positions; the owner's

	// Messages of connections up to this one are discarded: a handler has
	// failed. The dispatcher sets it to everything, the owner to what has come
	// when nothing more can come.
	discarded atomic.Uint64
	rewind    atomic.Bool // the next dial has to ask for what failed

	lost atomic.Int64 // messages that have failed, or were behind one, and are to be asked for again

	duplicates, gaps atomic.Uint64

	// The goroutine of the callbacks.
	item   *inbox.Item    // the message that is being handled; nil if it is to be discarded
	held   *position.Hold // if a loop has it
	failed bool           // a handler of it has failed

	mu      sync.Mutex
	running *run          // the latest, which ends by saving; nil once it has
	timer   *time.Timer   // until the positions are saved; nil if nothing is to be
	asking  chan struct{} // closed when the call of the Store under way has returned; nil if none is
}

func newResume(c *Client) *resume {
	cfg := c.cfg.Resume
	if cfg.Position == nil {
		return nil
	}
	rs := &resume{Resume: cfg, c: c, field: fieldOf(cfg.Position), positions: position.New(position.Order(cfg.Order))}
	rs.positions.Saves = cfg.Store != nil
	rs.positions.Redeliver = cfg.OnHandlerError == HandlerErrorRedeliver
	return rs
}

// validate expects the defaults to be set.
func (cfg *Resume) validate() error {
	switch {
	case cfg.Position == nil && (cfg.Query != "" || cfg.Order != 0 || cfg.OnGap != nil || cfg.OnHandlerError != 0 || cfg.Store != nil):
		return fmt.Errorf("%s is nil, so nothing resumes; set it, for instance to PositionField(%q)", "Position", "seq")
	case cfg.Order < PositionOpaque || cfg.Order > PositionConsecutive:
		return fmt.Errorf("%s: %d is none of the PositionOrder constants", "Order", int(cfg.Order))
	case cfg.OnHandlerError != HandlerErrorContinue && cfg.OnHandlerError != HandlerErrorRedeliver:
		return fmt.Errorf("%s: %d is neither HandlerErrorContinue nor HandlerErrorRedeliver", "OnHandlerError", int(cfg.OnHandlerError))
	}
	return nil
}

func (rs *resume) received(stream string) string {
	if rs == nil {
		return ""
	}
	return rs.positions.Received(stream)
}

// begin makes the positions those of a URL and user.
func (rs *resume) begin(r *run) bool {
	if rs == nil {
		return true
	}
	defer rs.begun(r)
	user := r.url.String()
	if user == rs.user {
		return true
	}
	rs.user = ""
	rs.positions.Reset()
	var loaded map[string]string
	if rs.Store != nil {
		var panicked any
		err := errGoexit
		if !r.ask(func() { loaded, panicked, err = rs.load() }) {
			return false
		}
		if r.panicked = panicked; panicked != nil {
			return false
		}
		if err != nil {
			r.mu.Lock()
			r.err = fmt.Errorf("wsnotify: Resume.Store can't load the positions, so nothing was dialled: %w", unprefixed(err))
			r.mu.Unlock()
			return false
		}
	}
	rs.positions.Loaded(loaded)
	rs.user = user
	return true
}

// load asks the Store, once a Save of the run before has returned.
func (rs *resume) load() (loaded map[string]string, panicked any, err error) {
	rs.mu.Lock()
	for rs.asking != nil {
		rs.mu.Unlock()
		rs.awaitStore()
		rs.mu.Lock()
	}
	rs.asking = make(chan struct{})
	rs.mu.Unlock()
	defer rs.asked()
	defer func() { panicked = recover() }()
	loaded, err = rs.Store.Load()
	return loaded, nil, err
}

// asked ends a call of the Store. What could not be saved, or was handled
// meanwhile, is saved later.
func (rs *resume) asked() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	close(rs.asking)
	rs.asking = nil
	if rs.running != nil && rs.SaveEvery >= 0 && rs.timer == nil && rs.positions.HasUnsaved() {
		rs.saveLater()
	}
}

// saveLater is called with mu.
func (rs *resume) saveLater() { rs.timer = time.AfterFunc(rs.SaveEvery, func() { rs.save() }) }

// begun has the Store get what SetPosition has changed while nothing ran.
func (rs *resume) begun(r *run) {
	rs.mu.Lock()
	rs.running = r
	rs.mu.Unlock()
	if rs.SaveEvery >= 0 {
		rs.changed()
	}
}

// dialling prepares a new connection. Nothing more can come over the one before.
func (rs *resume) dialling(req *DialRequest, opened uint64) {
	if rs == nil {
		return
	}
	req.resume = rs
	if rs.rewind.Swap(false) {
		rs.positions.Rewind()
		rs.discarded.Store(opened)
	}
	if at := rs.received(""); rs.Query != "" && at != "" {
		req.URL.RawQuery = withParameter(req.URL.RawQuery, rs.Query, at)
	}
}

// withParameter sets a parameter of a query and leaves the others as they
// stand.
func withParameter(query, name, value string) string {
	var parameters []string
	for parameter := range strings.SplitSeq(query, "&") {
		key, _, _ := strings.Cut(parameter, "=")
		if unescaped, err := url.QueryUnescape(key); parameter != "" && (err != nil || unescaped != name) {
			parameters = append(parameters, parameter)
		}
	}
	return strings.Join(append(parameters, url.QueryEscape(name)+"="+url.QueryEscape(value)), "&")
}

// admit notes a message as received. The reader calls it. answer means that
// somebody waits for it; otherwise a duplicate is to be dropped.
func (rs *resume) admit(cn *conn, msg Message, answer bool) (mark position.Mark, duplicate bool) {
	var v position.Verdict
	if rs.field != nil {
		if msg.Type != MessageText {
			return mark, false
		}
		at := rs.field.Scan(msg.Data)
		if len(at) == 0 {
			return mark, false
		}
		mark, v = cn.positions.AdmitBytes(at, answer)
	} else {
		stream, at := rs.Position(msg)
		if at == "" {
			return mark, false
		}
		mark, v = cn.positions.Admit(stream, at, answer)
	}
	if v != (position.Verdict{}) {
		rs.decided(cn, v)
	}
	return mark, v.Duplicate
}

// decided counts and reports what is unusual about a message.
func (rs *resume) decided(cn *conn, v position.Verdict) {
	switch {
	case v.Behind != nil:
		cn.enqueueBatch() // what was received before it is handled before it is reported
		rs.c.report(&ResumeError{Stream: v.Behind.Stream, Asked: v.Behind.Asked, Got: v.Behind.Got})
	case v.NoNumber != nil && !cn.mispositioned:
		cn.mispositioned = true
		rs.c.report(fmt.Errorf("wsnotify: %sResume.Position returned \"%s\", which is no decimal number, as Resume.Order %v needs one; "+
			"messages without a number are delivered, and can't be resumed from", ofStream(v.NoNumber.Stream), line(v.NoNumber.Position), rs.Order))
	}
	if v.Duplicate {
		rs.duplicates.Add(1)
	}
}

// answered notes a message that was handled without callbacks, behind those
// that were received before it. If one of those fails, it comes again with them.
func (rs *resume) answered(cn *conn, msg Message) {
	if rs == nil {
		return
	}
	mark, _ := rs.admit(cn, msg, true)
	if !mark.IsSet() {
		return
	}
	cn.enqueueBatch()
	cn.positions.Publish()
	rs.c.inbox.Notify(func() {
		if cn.epoch <= rs.discarded.Load() {
			return
		}
		defer rs.done(mark, nil)
		if mark.Gap() != nil {
			rs.gap(mark, cn.epoch)
		}
	})
}

// beginMessage notes which message is being handled, and reports false when it is to
// be discarded.
func (rs *resume) beginMessage(m *inbox.Item) bool {
	if last := rs.discarded.Load(); m.Epoch <= last {
		if last == math.MaxUint64 && !m.Duplicate {
			rs.lost.Add(1)
		}
		return false
	}
	rs.item, rs.failed = m, false
	return true
}

// gap reports what is missing before a message.
func (rs *resume) gap(m position.Mark, epoch uint64) {
	rs.gaps.Add(1)
	gap := m.Gap()
	rs.c.onGap(Gap{Stream: gap.Stream, After: gap.After, Next: gap.Next, Epoch: epoch})
}

// dispatched is called when the callbacks of a message have returned, or one
// has ended its goroutine.
func (rs *resume) dispatched(m *inbox.Item) {
	held := rs.held
	if held != nil {
		rs.held = nil
	}
	discarded := rs.item == nil
	rs.item = nil
	switch {
	case discarded || !m.Mark.IsSet():
	case rs.failed && rs.OnHandlerError == HandlerErrorRedeliver && rs.positions.Failed(m.Mark):
		rs.lost.Store(1)
		rs.discarded.Store(math.MaxUint64)
		rs.rewind.Store(true)
		rs.c.current().redeliver()
	default:
		rs.done(m.Mark, held)
	}
}

// handlerFailed notes that a handler of the message that is being handled
// has returned an error.
func (rs *resume) handlerFailed() {
	if rs != nil {
		rs.failed = true
	}
}

func (rs *resume) done(mark position.Mark, held *position.Hold) {
	if rs.positions.Done(mark, held) {
		rs.recovered()
	}
	rs.changed()
}

// hold and release are around the body of a loop that was given a message.
func (rs *resume) hold() *position.Hold {
	switch {
	case rs == nil || rs.item == nil || !rs.item.Mark.IsSet():
		return nil
	case rs.held == nil:
		rs.held = rs.positions.Hold(rs.item.Mark)
	default:
		rs.positions.More(rs.held)
	}
	return rs.held
}

func (rs *resume) release(held *position.Hold) {
	if held == nil {
		return
	}
	if rs.positions.Release(held) {
		rs.recovered()
	}
	rs.changed()
}

// recovered says that a message which had failed has been handled.
func (rs *resume) recovered() {
	r := rs.c.current()
	select {
	case r.recovered <- struct{}{}:
		r.signal()
	default:
	}
}

// recovering reports whether a message that failed is still to be handled.
func (rs *resume) recovering() bool {
	return rs != nil && rs.OnHandlerError == HandlerErrorRedeliver && rs.positions.Recovering()
}

// changed saves the positions, or sees to it that they are saved soon.
func (rs *resume) changed() {
	if rs.Store == nil {
		return
	}
	rs.mu.Lock()
	now := rs.SaveEvery < 0 || rs.running == nil
	if !now && rs.timer == nil {
		rs.saveLater()
	}
	rs.mu.Unlock()
	if now {
		rs.saveNow()
	}
}

// saveNow returns when everything that was handled before the call is saved,
// or could not be.
func (rs *resume) saveNow() {
	rs.awaitStore() // it may have been given less
	if saved := rs.save(); saved != nil {
		<-saved
	}
}

// awaitStore waits for the call of the Store under way.
func (rs *resume) awaitStore() {
	rs.mu.Lock()
	asking := rs.asking
	rs.mu.Unlock()
	if asking != nil {
		<-asking
	}
}

// save begins to save what was handled, unless the Store is being asked
// already, and returns a channel that is closed when that is done; nil if there is
// nothing to save.
func (rs *resume) save() <-chan struct{} {
	if rs == nil || rs.Store == nil {
		return nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.stopTimer() // asked sets it again
	if rs.asking != nil {
		return rs.asking
	}
	positions := rs.positions.Unsaved()
	if positions == nil {
		return nil
	}
	rs.asking = make(chan struct{})
	go rs.saveTo(positions)
	return rs.asking
}

func (rs *resume) saveTo(positions map[string]string) {
	err := errGoexit
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("its Save panicked: %v", v)
		}
		if err != nil {
			rs.positions.Again(positions)
			rs.c.report(fmt.Errorf("wsnotify: Resume.Store can't save the positions; they are saved again later: %w", unprefixed(err)))
		}
		rs.asked()
	}()
	err = rs.Store.Save(positions)
}

// stopTimer is called with mu.
func (rs *resume) stopTimer() {
	if rs.timer != nil {
		rs.timer.Stop()
		rs.timer = nil
	}
}

// ended saves what the last callbacks of a run have handled, and calls then when
// that is over: at once if there is nothing to save.
func (rs *resume) ended(r *run, then func()) {
	if rs == nil {
		then()
		return
	}
	rs.mu.Lock()
	if rs.running == r { // else the next one has begun
		rs.running = nil
		rs.stopTimer()
	}
	rs.mu.Unlock()
	if rs.save() == nil {
		then()
		return
	}
	go func() {
		rs.saveNow() // what was given to the Store may be less
		then()
	}()
}
