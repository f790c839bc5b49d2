package transport

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/peertime"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// Conn is one open WebSocket.
type Conn interface {
	// Read waits until something has come, and returns what there is, as far as
	// it fits into events, in the order of the stream. pingPong says that it was one event
	// alone, soon after the one before, and waiting for the next costs the system
	// a wake-up. An error is final: a *wire.Violation, or why the connection
	// broke. After the close frame of the peer, or an error, it is not to be
	// called again.
	Read(events []Event) (n int, pingPong bool, err error)

	// Write sends the next part of a batch, which is not empty, with one write, and returns how many
	// of the batch's frames it ended. The batch is written when its Done says
	// so. After an error, torn says that the socket took a part of the frame
	// that follows those, and the frames behind it have not left.
	Write(b *Batch) (ended int, torn bool, err error)

	// Close sends a close frame, code 1005 one without a code. Nothing is
	// written after it.
	Close(code int, reason string) error

	// Received is how many bytes have come from the peer.
	Received() int64

	// End ends a connection that is done, for as long as a second: if a close
	// frame was sent, it says that nothing follows, and discards what still comes,
	// so that no reset overtakes that frame. Nobody reads or writes any more, or Kill
	// was called. The channel is closed when nothing is left of it, which takes longer
	// if a net.Conn that a user supplies does not end.
	End() (gone <-chan struct{})

	// Kill ends every Read and Write at once, now and later.
	Kill()
}

// Event is a thing that came.
type Event = wire.Event

// Kind is what may be assumed of a net.Conn.
type Kind int

const (
	// ByType is System for a socket of the operating system, and for a net.Conn that has
	// the method CloseEndsCalls, and Foreign for any other.
	ByType Kind = iota

	// System is a net.Conn whose calls return when it is closed, and whose reader
	// may run callbacks itself: to wake up another goroutine costs more there.
	System

	// Foreign is one that a user supplies: its calls may not return when it is
	// closed, and Close may wait.
	Foreign
)

// AssumedKind is the kind where Options say ByType. Tests set it, so that what
// production does on sockets runs in virtual time, and the other way round.
var AssumedKind Kind

// Options are how a connection behaves.
type Options struct {
	ReadLimit    int64         // of a message; negative: none
	Reuse        bool          // Event.Memory is used again
	MaxFrame     int           // of what is sent; 0 or negative: no limit
	WriteTimeout time.Duration // how long the socket may take nothing, in peer time; negative: forever
	PeerTime     *peertime.Clock
	Kind         Kind          // of the net.Conn
	LastReceived *atomic.Int64 // where to note when something came, in ns since 1970
}

// ErrWriteTimeout is the error of a Write whose socket took nothing for
// WriteTimeout, and of the Read that this ends.
var ErrWriteTimeout = errors.New("the peer took nothing for WriteTimeout")

// ErrFailed is a connection that the browser ended with an error event: for a
// violation of the peer, mostly.
var ErrFailed = errors.New("the browser failed the connection and does not tell a page why; look into its console")

// errSealed is the error of a Write after Close.
var errSealed = errors.New("a close frame was sent")
