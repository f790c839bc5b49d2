package wsnotify

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/coder/websocket"
)

// In a browser, and in Node with a global WebSocket, the sockets are not ours.
// What is not to be had there: headers, a proxy, protocol pings (so that only
// the text of the heartbeat is sent, and life is not watched), the close code
// and the status of a refusal, which the transport does not pass on. A write
// is taken as done once the browser has it.

// canPing says that the transport does not let us write frames of our own.
const canPing = false

var errNoHeaders = errors.New("a browser can't send headers of its own with a handshake")

func dial(ctx context.Context, req *opening, _ *socket, answered func(*http.Response), _ *controlFrames) (*websocket.Conn, *link, *http.Response, error) {
	if len(req.header) > 0 {
		return nil, nil, nil, errNoHeaders
	}
	ws, resp, err := websocket.Dial(ctx, req.url.String(), &websocket.DialOptions{Subprotocols: req.subprotocols})
	if err != nil {
		return nil, nil, nil, err
	}
	answered(resp)
	l := &link{ws: ws}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return ws, l, resp, nil
}

// link is the little that a browser lets us do.
type link struct {
	ws      *websocket.Conn
	waits   func()
	heard   func()
	ctx     context.Context // ends the reads
	cancel  context.CancelFunc
	readErr error

	mu        sync.Mutex
	sealed    bool
	closeSent StatusCode
}

func (l *link) start(_ int64, waits, heard func()) { l.waits, l.heard = waits, heard }

// divert is not for us: the transport returns every message.
func (l *link) divert(func(MessageType, []byte) error) {}

// next returns the next message.
func (l *link) next(ws *websocket.Conn) (MessageType, io.Reader, error) {
	l.waits()
	typ, r, err := ws.Reader(l.ctx)
	if err != nil && !errors.Is(err, websocket.ErrMessageTooBig) {
		l.readErr = err
	}
	if err == nil {
		l.heard()
	}
	return typ, r, err
}

func (l *link) appendFrame(opcode byte, payload []byte) {
	switch opcode {
	case opText:
		l.ws.Write(context.Background(), MessageText, payload)
	case opClose:
		l.mu.Lock()
		first := !l.sealed
		l.sealed, l.closeSent = true, StatusCode(int(payload[0])<<8|int(payload[1]))
		code := l.closeSent
		l.mu.Unlock()
		if first {
			go l.ws.Close(code, string(payload[2:])) // it waits for the answer
		}
	}
}

func (l *link) closeFrameSent() (code StatusCode, sent bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeSent, l.sealed
}

func (l *link) offset() int64               { return 0 }
func (l *link) lend([]byte) bool            { return false }
func (l *link) take() []byte                { return nil }
func (l *link) write(p []byte) (int, error) { return len(p), nil }
func (l *link) socketError() error          { return l.readErr }
func (l *link) release()                    {}
func (l *link) end()                        { l.kill() }

// kill ends the reads. The browser closes the socket in its own time.
func (l *link) kill() {
	l.appendFrame(opClose, closePayload(StatusNormalClosure, ""))
	l.cancel()
}

// socket has nothing to close.
type socket struct{}

func (*socket) close() bool { return false }

func validCompression(CompressionMode) bool { return true }
