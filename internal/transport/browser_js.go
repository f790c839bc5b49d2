package transport

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall/js"
	"time"

	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/peertime"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// browser is a WebSocket of the browser, as the WHATWG standard has it. Its
// events come on goroutines that hold up the whole page, so that they never
// wait.
type browser struct {
	ws     js.Value
	opts   Options
	handle js.Func // of all events of ws
	turns  turns   // of the browser's event loop; the writer's

	opened   chan struct{} // closed by the event of that name
	gone     chan struct{} // closed when nothing more will come
	come     chan struct{} // of capacity 1: there is something to Read
	detached sync.Once
	sealed   bool // Close was called; the writer's
	received atomic.Int64
	guard    peertime.Watch // of the message that the browser has not handed on
	late     atomic.Bool    // it has expired

	mu     sync.Mutex
	queue  []Event // came, and was not read
	held   int     // bytes of it
	end    error   // what Read returns behind the queue; nil while there is none
	closed bool    // the browser has said how it ended
	failed bool    // the browser has fired an error
}

// A browser can't be asked to read no more, so that what the reader does not
// take is kept here, up to this many bytes; then the connection is closed.
const (
	heldBytes = 16 << 20
	eventCost = 64 // of keeping a message, besides its own bytes
)

// Values of WebSocket.readyState.
const (
	stateConnecting = 0
	stateOpen       = 1
)

// newBrowser listens to what happens to ws, which was just made.
func newBrowser(ws js.Value, opts Options) *browser {
	b := &browser{
		ws: ws, opts: opts,
		opened: make(chan struct{}), gone: make(chan struct{}), come: make(chan struct{}, 1),
	}
	b.guard = opts.PeerTime.BriefWatch(opts.WriteTimeout, func() { b.late.Store(true) })
	b.handle = js.FuncOf(b.event)
	ws.Set("binaryType", "arraybuffer")
	for _, on := range listeners {
		ws.Set(on, b.handle)
	}
	return b
}

var listeners = []string{"onopen", "onmessage", "onerror", "onclose"}

// event is called by the browser.
func (b *browser) event(_ js.Value, args []js.Value) any {
	ev := args[0]
	switch ev.Get("type").String() {
	case "open":
		b.noteReceived(0)
		close(b.opened)
	case "message":
		b.message(ev.Get("data"))
	case "error":
		b.mu.Lock()
		b.failed = true
		b.mu.Unlock()
		select {
		case <-b.opened:
		default: // a close event follows, but in older versions of Node
			b.over(false, wire.NoStatus, "")
		}
	case "close":
		b.over(ev.Get("wasClean").Bool(), ev.Get("code").Int(), ev.Get("reason").String())
	}
	return nil
}

// noteReceived notes that the peer has sent n bytes.
func (b *browser) noteReceived(n int) {
	b.received.Add(int64(n))
	if last := b.opts.LastReceived; last != nil {
		last.Store(time.Now().UnixNano())
	}
}

// message takes a message in, which has to be copied out of the browser now.
func (b *browser) message(data js.Value) {
	ev := Event{Op: wire.Text}
	if data.Type() == js.TypeString {
		size := js.Global().Get("Object").Invoke(data).Length() // about
		b.noteReceived(size + 1)                                // never nothing
		if !b.fits(size) {
			return
		}
		ev.Data = []byte(data.String())
	} else {
		ev.Op = wire.Binary
		array := js.Global().Get("Uint8Array").New(data)
		b.noteReceived(array.Length() + 1)
		if !b.fits(array.Length()) {
			return
		}
		ev.Data = make([]byte, array.Length())
		js.CopyBytesToGo(ev.Data, array)
	}
	if !b.fits(len(ev.Data)) { // it has more bytes than characters
		return
	}
	ev.Cost = max(len(ev.Data), wire.MinCost)
	b.mu.Lock()
	if b.end == nil {
		b.queue = append(b.queue, ev)
		b.held += ev.Cost + eventCost
	}
	b.mu.Unlock()
	b.wake()
}

// fits reports whether a message of size is taken in. Otherwise this is the
// end of the connection.
func (b *browser) fits(size int) bool {
	b.mu.Lock()
	held, over := b.held, b.end != nil
	b.mu.Unlock()
	switch limit := b.opts.ReadLimit; {
	case over:
		return false
	case limit >= 0 && int64(size) > limit:
		b.refuse(fmt.Sprintf("a message is too big: it has %d bytes or more, and ReadLimit is %d", size, limit))
		return false
	case held > 0 && held+size > heldBytes:
		b.refuse(fmt.Sprintf("more came than the callbacks took: the inbox is full, and %d bytes wait before it, which a browser can't be asked to hold back", held))
		return false
	}
	return true
}

// refuse ends the connection for a message that is not taken in. The browser
// is told at once, since what it would send meanwhile is of no use.
func (b *browser) refuse(text string) {
	b.mu.Lock()
	b.end = &wire.Violation{Code: wire.TooBig, Text: text}
	b.mu.Unlock()
	b.wake()
	b.close(wire.TooBig, "") // that it was refused says Read
}

// over is the close event.
func (b *browser) over(clean bool, code int, reason string) {
	b.mu.Lock()
	b.closed = true
	if b.end == nil {
		switch {
		case clean:
			b.queue = append(b.queue, Event{Op: wire.Close, Code: uint16(code), Data: []byte(reason)})
			b.end = net.ErrClosed
		case b.failed:
			b.end = ErrFailed
		default:
			b.end = errBroken
		}
	}
	b.mu.Unlock()
	b.detach()
}

// errBroken is the end of a connection without a close frame.
var errBroken = errors.New("the browser lost it without a close frame")

// wake lets Read look.
func (b *browser) wake() {
	select {
	case b.come <- struct{}{}:
	default:
	}
}

// detach takes the listeners away: nothing of this page hears of ws any more.
func (b *browser) detach() {
	b.detached.Do(func() {
		for _, on := range listeners {
			b.ws.Set(on, nil)
		}
		b.handle.Release()
		close(b.gone)
	})
}

// Read implements Conn. The traffic never counts as ping-pong: what the browser has received is
// there already.
func (b *browser) Read(events []Event) (n int, pingPong bool, err error) {
	for {
		b.mu.Lock()
		n, err := copy(events, b.queue), b.end
		for _, ev := range events[:n] {
			if ev.Op != wire.Close {
				b.held -= ev.Cost + eventCost
			}
		}
		clear(b.queue[:n])
		if b.queue = b.queue[n:]; len(b.queue) == 0 {
			b.queue = nil
		}
		b.mu.Unlock()
		if n > 0 {
			return n, false, nil
		}
		if err != nil {
			return 0, false, err
		}
		select {
		case <-b.come:
		case <-b.gone:
		}
	}
}

// Subprotocol is what the server chose.
func (b *browser) Subprotocol() string { return b.ws.Get("protocol").String() }

// Compression is what the browser and the server have agreed on; nil is none.
func (b *browser) Compression() *extension.Params {
	p, _ := (&extension.Offer{Window: extension.MaxWindow, Takeover: true}).Agree([]string{b.ws.Get("extensions").String()})
	return p
}

// Received implements Conn.
func (b *browser) Received() int64 { return b.received.Load() }

// End implements Conn.
func (b *browser) End() <-chan struct{} {
	b.Kill()
	b.turns.stop()
	return b.gone
}

// Kill implements Conn. What has come before may still be read. The browser
// goes on to close its socket by itself.
func (b *browser) Kill() {
	b.mu.Lock()
	if b.end == nil {
		b.end = net.ErrClosed
	}
	b.mu.Unlock()
	b.close(wire.NoStatus, "")
	b.detach()
	b.opts.PeerTime.Close()
}
