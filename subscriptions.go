// This file holds the set of keys that a client is subscribed to. The set belongs to
// the client and survives its connections; which of the keys a connection has is
// forgotten with the connection. While keys are due, one goroutine sends them.

package wsnotify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Subscriptions say how the server is subscribed to keys: topics, channels,
// symbols, queries. Client.Subscribe adds keys to a set that belongs to the
// client. On each connection every key of the set is subscribed exactly once, in
// the order of Subscribe, after OnHandshake and before every queued message. A
// zero Subscriptions is off.
type Subscriptions struct {
	// Subscribe makes the message that subscribes to keys, of which there are at
	// most Batch. position returns the received position of the stream that is
	// named as a key, for servers that resume: see Resume; it is "" if there is
	// none. A Message without a Type is text.
	//
	// An error for several keys at once has Subscribe called for each of them
	// alone. An error for a key alone is reported to OnError as a
	// *SubscriptionError, and the key is not subscribed on this connection, until
	// Client.Subscribe is called for it again.
	//
	// Subscribe and Unsubscribe run on a goroutine of the client, without a lock,
	// one call at a time for each connection. They should not block: meanwhile
	// nothing more is subscribed, nor is anything sent that is queued behind the
	// first subscriptions of a connection. So Send, Request, Flush and Drain return
	// an error at once in the calls for those; Enqueue may be called in each. Close
	// waits for those for a second at most, if something is queued, which is reported
	// as ErrClosed otherwise. Done waits for all. Nil means no Subscriptions.
	Subscribe func(keys []string, position func(key string) string) (Message, error)
	// Unsubscribe makes the message that ends subscriptions, likewise. Nil means
	// that the server knows no such message: a key stays subscribed until the
	// connection ends.
	Unsubscribe func(keys []string) (Message, error)
	// Batch is how many keys are in one message at most. Zero means 1.
	Batch int
	// Confirm returns which keys a message confirms, or, with an error, refuses.
	// No keys mean that the message is no answer. It sees every message that
	// callbacks see, before they do and on their goroutine, and those that Resume
	// drops as duplicates; it takes none away, and must not keep or change Data. Only answers on the connection that sent
	// the key count, and the last one wins. A refusal is reported to OnError as
	// a *SubscriptionError; the key stays refused, on later connections too, until
	// Client.Subscribe is called for it again. Nil means that a key is active once
	// it was sent.
	Confirm func(Message) (keys []string, err error)
	// ConfirmTimeout is how long the answer to a key may take. After that the
	// connection is dropped like a dead one, and a *SubscriptionError is reported
	// to OnError. It excuses what the heartbeat excuses, and messages received
	// before that are handled first. Zero means 30 s, negative no limit.
	ConfirmTimeout time.Duration
}

// SubscriptionState says how far the subscription of a key is.
type SubscriptionState int

const (
	// SubscriptionWanted means that the current connection, if there is one, has
	// not sent it yet.
	SubscriptionWanted SubscriptionState = iota
	// SubscriptionSent means that it was sent and is not confirmed yet.
	SubscriptionSent
	// SubscriptionActive means that it was confirmed, or sent where there is no
	// Subscriptions.Confirm.
	SubscriptionActive
	// SubscriptionRefused means that the server refused it. It is not sent again
	// until Client.Subscribe is called for it.
	SubscriptionRefused
)

// String returns "wanted", "sent", "active" or "refused".
func (s SubscriptionState) String() string {
	return name(int(s), "SubscriptionState", "wanted", "sent", "active", "refused")
}

// SubscriptionStatus is a key of the set.
type SubscriptionStatus struct {
	Key   string
	State SubscriptionState
	Since time.Time // when it came into this State
	Err   error     // why it is refused, or why its message could not be made
}

// SubscriptionError is why a key is not subscribed.
type SubscriptionError struct {
	Key string
	Err error
}

// Error names the key.
func (e *SubscriptionError) Error() string {
	text := `subscription "` + line(e.Key) + `"`
	if e.Err == nil { // made by hand
		return prefix + text + " failed"
	}
	return prefixed(text, e.Err)
}

// Unwrap returns Err.
func (e *SubscriptionError) Unwrap() error { return e.Err }

// Subscribe adds keys to the set; one that is in it already stays where it is.
// On an open connection the new ones are sent, behind what is queued already;
// otherwise they are on the next one. The set survives reconnects, Disconnect and a
// later Connect. Subscribe does not block, and works in every state. A key that was
// refused, or whose message could not be made, is tried again.
//
// The error says that there is no Config.Subscriptions.
func (c *Client) Subscribe(keys ...string) error {
	if err := c.canSubscribe(); err != nil {
		return err
	}
	c.subscriptions.change(keys, c.subscriptions.add)
	return nil
}

// Unsubscribe removes keys from the set; one that is not in it does no harm.
// What was not sent yet is not sent, and what was is ended by the message of
// Subscriptions.Unsubscribe, on this connection if there is one. It does not block,
// and works in every state. The error says that there is no Config.Subscriptions.
func (c *Client) Unsubscribe(keys ...string) error {
	if err := c.canSubscribe(); err != nil {
		return err
	}
	c.subscriptions.change(keys, c.subscriptions.drop)
	return nil
}

func (c *Client) canSubscribe() error {
	switch {
	case !c.made:
		return errNotMade
	case c.subscriptions == nil:
		return errors.New("wsnotify: the client knows no message that subscribes: set Config.Subscriptions.Subscribe")
	}
	return nil
}

// Subscriptions returns the set, in the order of Subscribe.
func (c *Client) Subscriptions() []SubscriptionStatus {
	if !c.made {
		panic(prefix + "Subscriptions: " + useNew)
	}
	if c.subscriptions == nil {
		return nil
	}
	return c.subscriptions.list()
}

// subscriptions is the set of a client.
type subscriptions struct {
	Subscriptions
	c *Client

	mu              sync.Mutex // never held over a call of the user's code
	keys            map[string]*key
	first, last     *key // of those that are wanted
	wanted          int
	active, refused int // of them

	// What follows is of the open connection.
	conn       *conn         // nil: none is open
	due        []*key        // in the order of the changes
	initial    int           // of due, how many are to be sent before anything queued
	held       atomic.Bool   // conn sends nothing queued, for as long as there are such; written with mu
	begun      chan struct{} // closed when that ends; nil if nothing was held
	sending    bool          // a goroutine sends what is due
	sendingNow []*key        // in the message that is being sent, while that can be taken back
	cancel     context.CancelFunc
	unanswered []*key      // sent, in that order; some have been answered since
	timer      *time.Timer // of the first of unanswered; nil if there is none
}

// key is one of the set, or one that left it and is still subscribed on the
// connection.
type key struct {
	name       string
	wanted     bool
	state      SubscriptionState
	since      time.Time
	err        error
	prev, next *key // of those that are wanted

	// What follows is of the open connection.
	has      bool          // the server has it, or is being sent it
	asked    bool          // it was sent, so an answer may come
	inFlight bool          // it is in the message that is being sent
	again    bool          // it was unsubscribed, and subscribed again
	queued   bool          // it is in due
	sentAt   time.Duration // by the connection's clock
}

func newSubscriptions(c *Client) *subscriptions {
	cfg := c.cfg.Subscriptions
	if cfg.Subscribe == nil {
		return nil
	}
	return &subscriptions{Subscriptions: cfg, c: c, keys: map[string]*key{}}
}

// awaitsAnswers reports whether a key has to be answered in time.
func (s *subscriptions) awaitsAnswers() bool { return s.confirms() && s.ConfirmTimeout > 0 }

// confirms reports whether messages may be answers.
func (s *subscriptions) confirms() bool { return s != nil && s.Confirm != nil }

// validate expects the defaults to be set.
func (cfg *Subscriptions) validate() error {
	switch {
	case cfg.Subscribe == nil && (cfg.Unsubscribe != nil || cfg.Confirm != nil || cfg.Batch > 1):
		return fmt.Errorf("%s is nil, so nothing can be subscribed; set it", "Subscribe")
	case cfg.Batch < 0:
		return fmt.Errorf("%s: %d is negative; 0 means one key in each message", "Batch", cfg.Batch)
	}
	return nil
}

// change applies a change to keys, and has what follows from it sent.
func (s *subscriptions) change(keys []string, change func(name string, now time.Time)) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range keys {
		change(name, now)
	}
	s.wake()
}

// add is called with mu.
func (s *subscriptions) add(name string, now time.Time) {
	k := s.keys[name]
	if k == nil {
		k = &key{name: name, since: now}
		s.keys[name] = k
	}
	switch {
	case !k.wanted:
		s.link(k)
		switch {
		case !k.has:
		case s.Unsubscribe == nil: // the server still has it
			return
		default:
			k.again = true
		}
		s.enter(k, SubscriptionWanted, nil, now)
	case k.state == SubscriptionRefused, k.err != nil:
		s.enter(k, SubscriptionWanted, nil, now)
	default:
		return
	}
	s.enqueue(k)
}

// drop is called with mu.
func (s *subscriptions) drop(name string, _ time.Time) {
	k := s.keys[name]
	if k == nil || !k.wanted {
		return
	}
	s.unlink(k)
	k.again = false
	switch {
	case !k.has:
		delete(s.keys, name)
	case s.Unsubscribe != nil:
		s.enqueue(k)
	}
	if k.inFlight && slices.Contains(s.sendingNow, k) {
		s.cancel()
	}
}

// link makes a key the last that is wanted.
func (s *subscriptions) link(k *key) {
	k.wanted, k.prev, k.next = true, s.last, nil
	if s.last != nil {
		s.last.next = k
	} else {
		s.first = k
	}
	s.last = k
	s.wanted++
	s.count(k, 1)
}

func (s *subscriptions) unlink(k *key) {
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		s.first = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		s.last = k.prev
	}
	k.wanted, k.prev, k.next = false, nil, nil
	s.wanted--
	s.count(k, -1)
}

// count keeps the numbers of active and refused keys.
func (s *subscriptions) count(k *key, by int) {
	switch {
	case !k.wanted && by > 0:
	case k.state == SubscriptionActive:
		s.active += by
	case k.state == SubscriptionRefused:
		s.refused += by
	}
}

// enter changes the state of a key. It is called with mu.
func (s *subscriptions) enter(k *key, state SubscriptionState, err error, now time.Time) {
	if k.wanted {
		s.count(k, -1)
	}
	k.state, k.err, k.since = state, err, now
	s.count(k, 1)
}

// enqueue makes a key due on the open connection.
func (s *subscriptions) enqueue(k *key) {
	if s.conn != nil && !k.queued {
		k.queued = true
		s.due = append(s.due, k)
	}
}

// wake has what is due sent. It is called with mu.
func (s *subscriptions) wake() {
	if cn := s.conn; cn != nil && len(s.due) > 0 && !s.sending {
		s.sending = true
		cn.r.spawn(func() { s.send(cn) })
	}
}

// opened makes everything due on a connection whose queue is held until that is
// sent.
func (s *subscriptions) opened(cn *conn) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = cn
	for k := s.first; k != nil; k = k.next {
		if k.state != SubscriptionRefused {
			s.enqueue(k)
		}
	}
	if s.initial = len(s.due); s.initial > 0 {
		s.begun = make(chan struct{})
		s.held.Store(true)
		cn.w.Hold()
	}
}

// pending returns a channel that is closed when what is queued may be sent, which a
// connection that is about to be closed has to wait for; nil if nothing is held, or is
// not to be waited for: a limiter.
func (s *subscriptions) pending() <-chan struct{} {
	if s == nil || s.c.cfg.Outbox.Limiter != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held.Load() {
		return nil
	}
	return s.begun
}

// begin has that sent. It comes behind OnOpen, so that what it reports does, too.
func (s *subscriptions) begin() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}

// closed forgets what the connection had, and reports whether what is queued may be sent.
func (s *subscriptions) closed() (begun bool) {
	if s == nil {
		return true
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	begun = !s.held.Load()
	s.conn, s.due, s.initial, s.unanswered, s.sending, s.begun = nil, nil, 0, nil, false, nil
	s.held.Store(false)
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.cancel != nil {
		s.cancel()
		s.cancel, s.sendingNow = nil, nil
	}
	for name, k := range s.keys {
		if !k.wanted {
			delete(s.keys, name)
		}
		k.has, k.asked, k.inFlight, k.again, k.queued = false, false, false, false, false
		if k.state == SubscriptionSent || k.state == SubscriptionActive || k.err != nil && k.state == SubscriptionWanted {
			s.enter(k, SubscriptionWanted, nil, now)
		}
	}
	return begun
}

// send sends what is due, until that is nothing or the connection is over.
func (s *subscriptions) send(cn *conn) {
	for {
		keys, unsubscribe, first := s.nextKeys(cn)
		if len(keys) == 0 {
			return
		}
		for _, m := range s.messages(cn, keys, unsubscribe) {
			if !s.sendOne(cn, m, unsubscribe, first) {
				return
			}
		}
	}
}

// nextKeys dequeues the keys of the next message from due; none when the goroutine
// is to end. first says that the message comes before everything queued.
func (s *subscriptions) nextKeys(cn *conn) (keys []*key, unsubscribe, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != cn {
		return nil, false, false
	}
	for len(keys) < s.Batch {
		if s.held.Load() && s.initial == 0 {
			if len(keys) > 0 {
				break
			}
			s.held.Store(false)
			close(s.begun)
			cn.w.Release()
		}
		if len(s.due) == 0 {
			break
		}
		k := s.due[0]
		ends := k.has && (!k.wanted || k.again)
		begins := k.wanted && !k.has && k.state != SubscriptionRefused && k.err == nil
		if (ends || begins) && len(keys) > 0 && ends != unsubscribe {
			break
		}
		s.due[0] = nil
		s.due, k.queued, s.initial = s.due[1:], false, max(s.initial-1, 0)
		switch {
		case begins:
			k.has, k.asked, k.inFlight = true, true, true
		case ends && k.again:
			k.has, k.asked, k.again = false, false, false
			s.enter(k, SubscriptionWanted, nil, time.Now())
			s.enqueue(k)
		case ends:
			delete(s.keys, k.name)
		default: // it was unsubscribed again before it was sent, or subscribed again
			continue
		}
		unsubscribe = ends
		keys = append(keys, k)
	}
	s.sending = len(keys) > 0
	return keys, unsubscribe, s.held.Load()
}

// outgoing is a message with the keys that are in it.
type outgoing struct {
	Message
	keys []*key
}

// messages has the user's functions make the message of keys, or one of each if
// that fails.
func (s *subscriptions) messages(cn *conn, keys []*key, unsubscribe bool) []outgoing {
	m, err := s.message(keys, unsubscribe)
	if err == nil {
		return []outgoing{{m, keys}}
	}
	if len(keys) == 1 {
		s.failed(cn, keys[0], err)
		return nil
	}
	var list []outgoing
	for _, k := range keys {
		list = append(list, s.messages(cn, []*key{k}, unsubscribe)...)
	}
	return list
}

func (s *subscriptions) message(keys []*key, unsubscribe bool) (m Message, err error) {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.name
	}
	err = call(func() (err error) {
		if unsubscribe {
			m, err = s.Unsubscribe(names)
		} else {
			m, err = s.Subscribe(names, s.c.resume.received)
		}
		return err
	})
	if m.Type == 0 {
		m.Type = MessageText
	}
	if err == nil {
		err = checkMessage(m.Type, m.Data)
	}
	return m, err
}

// failed notes that there is no message for a key.
func (s *subscriptions) failed(cn *conn, k *key, err error) {
	s.mu.Lock()
	if s.conn == cn && k.inFlight { // else it was to be unsubscribed
		k.has, k.asked, k.inFlight = false, false, false
		switch {
		case !k.wanted:
			delete(s.keys, k.name)
		case !k.again:
			s.enter(k, SubscriptionWanted, err, time.Now())
		}
		k.again = false
	}
	s.mu.Unlock()
	s.c.report(&SubscriptionError{Key: k.name, Err: err})
}

// sendOne sends a message, and reports false when the connection is over.
func (s *subscriptions) sendOne(cn *conn, m outgoing, unsubscribe, first bool) bool {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	if s.conn != cn { // its end came while the user's function ran
		s.mu.Unlock()
		return false
	}
	for _, k := range m.keys {
		if k.inFlight && !k.wanted {
			cancel()
		}
	}
	s.cancel, s.sendingNow = cancel, m.keys
	s.mu.Unlock()

	err := ctx.Err()
	switch {
	case err != nil:
	case first:
		err = cn.sendFirst(ctx, m.Type, m.Data)
	default:
		err = s.c.outbox.SendOver(ctx, cn.w, wire.Op(m.Type), m.Data)
	}

	var now time.Duration
	if err == nil && s.awaitsAnswers() {
		now = cn.peerTime()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != cn {
		return false
	}
	s.cancel, s.sendingNow = nil, nil
	switch {
	case unsubscribe:
	case err == nil:
		s.sent(cn, m.keys, now)
	case errors.Is(err, context.Canceled) && !errors.Is(err, ErrUnconfirmed): // certainly not sent
		s.requeue(m.keys)
		return true
	}
	return err == nil
}

// sent is called with mu.
func (s *subscriptions) sent(cn *conn, keys []*key, at time.Duration) {
	now := time.Now()
	for _, k := range keys {
		k.inFlight = false
		switch {
		case k.state != SubscriptionWanted: // it was answered before this goroutine went on
		case s.Confirm == nil:
			s.enter(k, SubscriptionActive, nil, now)
		default:
			s.enter(k, SubscriptionSent, nil, now)
			s.awaitAnswer(cn, k, at)
		}
	}
}

// requeue makes the keys of a message due again. It was not sent, since one of them is
// not wanted any more. It is called with mu.
func (s *subscriptions) requeue(keys []*key) {
	var due []*key
	for _, k := range keys {
		k.has, k.asked, k.inFlight, k.again = false, false, false, false
		switch {
		case !k.wanted:
			delete(s.keys, k.name)
		case !k.queued:
			k.queued = true
			due = append(due, k)
		}
	}
	s.due = append(due, s.due...)
	s.initial += len(due) // which matters as long as anything is held for the first ones
}

// awaitAnswer bounds the wait for the answer to a key. It is called with mu.
func (s *subscriptions) awaitAnswer(cn *conn, k *key, at time.Duration) {
	if !s.awaitsAnswers() {
		return
	}
	k.sentAt = at
	s.unanswered = append(s.unanswered, k)
	if s.timer == nil {
		s.timer = time.AfterFunc(s.ConfirmTimeout, func() { s.check(cn, false) })
	}
}

// check ends a connection over which the oldest answer has not come in time.
// What was received by then is handled first: that is when again is true.
func (s *subscriptions) check(cn *conn, again bool) {
	now := cn.peerTime()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != cn {
		return
	}
	for len(s.unanswered) > 0 && (s.unanswered[0].state != SubscriptionSent || !s.unanswered[0].asked) {
		s.unanswered = s.unanswered[1:]
	}
	if len(s.unanswered) == 0 {
		s.unanswered, s.timer = nil, nil
		return
	}
	k := s.unanswered[0]
	switch left := s.ConfirmTimeout - (now - k.sentAt); {
	case left > 0:
		left = max(left, s.ConfirmTimeout/64) // peer time may stand still
		s.timer = time.AfterFunc(left, func() { s.check(cn, false) })
	case again:
		cn.kill(&SubscriptionError{Key: k.name, Err: fmt.Errorf("%w: no answer within %v", errUnanswered, s.ConfirmTimeout)})
	default:
		s.c.inbox.Notify(func() { s.check(cn, true) })
	}
}

// errUnanswered is why a connection was dropped that did not answer.
var errUnanswered = errors.New("the server does not answer")

// received has the user's function find answers in a message, and says whether it is one.
func (s *subscriptions) received(msg Message) bool {
	s.c.callbacks.enter(nameConfirm)
	keys, err := s.Confirm(msg)
	if len(keys) == 0 {
		return false
	}
	now := time.Now()
	var refused []string
	s.mu.Lock()
	if s.conn != nil && s.conn.epoch == msg.Epoch {
		for _, name := range keys {
			switch k := s.keys[name]; {
			case k == nil || !k.asked:
			case err == nil:
				k.has = true
				if k.state != SubscriptionActive {
					s.enter(k, SubscriptionActive, nil, now)
				}
			default:
				k.has, k.again = false, false
				if k.wanted && k.state != SubscriptionRefused {
					refused = append(refused, name)
				}
				s.enter(k, SubscriptionRefused, err, now)
			}
		}
	}
	s.mu.Unlock()
	for _, name := range refused {
		s.c.onError(&SubscriptionError{Key: name, Err: err})
	}
	return true
}

func (s *subscriptions) list() []SubscriptionStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]SubscriptionStatus, 0, s.wanted)
	for k := s.first; k != nil; k = k.next {
		list = append(list, SubscriptionStatus{Key: k.name, State: k.state, Since: k.since, Err: k.err})
	}
	return list
}

func (s *subscriptions) counts() (wanted, active, refused int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.wanted, s.active, s.refused
}
