package transport

import (
	"net"
	"syscall/js"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Write implements Conn. The browser gets one message at a time, and the next
// when it has handed that on: so it is exact what has left, however the
// connection ends, and a peer that takes nothing fills no memory.
func (b *browser) Write(batch *Batch) (ended int, torn bool, err error) {
	if b.sealed {
		return 0, false, errSealed
	}
	batch.Lock()
	frames := batch.frames()
	for batch.next < len(frames) && frames[batch.next].withdrawn {
		batch.next++
		ended++
	}
	if batch.Done() {
		batch.Unlock()
		return ended, false, nil
	}
	f := &frames[batch.next]
	size := len(f.data)
	err = b.send(f.op, f.data)
	if err == nil {
		f.data = nil
		batch.next++
	}
	batch.Unlock()
	if err != nil {
		return ended, false, err
	}
	left, err := b.handOn(size)
	if left == 0 {
		return ended + 1, false, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// One that the browser has not given up may still leave.
	return ended, !b.closed || left < size, err
}

// send copies a message to the browser.
func (b *browser) send(op wire.Op, data []byte) error {
	if b.ws.Get("readyState").Int() != stateOpen {
		return net.ErrClosed
	}
	if op == wire.Text {
		text := string(data)
		if len(data) >= len(bom) && text[:len(bom)] == bom {
			text = bom + text // the first one is lost on the way to JavaScript
		}
		return try(func() { b.ws.Call("send", text) })
	}
	array := js.Global().Get("Uint8Array").New(len(data))
	js.CopyBytesToJS(array, data)
	return try(func() { b.ws.Call("send", array) })
}

// bom is U+FEFF.
const bom = "\ufeff"

// handOn waits until the browser has handed on what it was given, and returns
// how much of that it has not. WriteTimeout is how long that may not become
// less.
func (b *browser) handOn(size int) (left int, err error) {
	least := size
	b.guard.Start(0)
	defer b.guard.Stop()
	for try := 0; ; try++ {
		left = b.ws.Get("bufferedAmount").Int()
		switch {
		case left == 0:
			return 0, nil
		case left < least:
			least = left
			b.guard.Start(0)
			b.late.Store(false)
		case b.late.Load():
			return left, ErrWriteTimeout
		}
		if !b.turns.wait(try, b.gone) {
			return b.ws.Get("bufferedAmount").Int(), net.ErrClosed
		}
	}
}

// Close implements Conn.
func (b *browser) Close(code int, reason string) error {
	if b.sealed {
		return errSealed
	}
	b.sealed = true
	return b.close(code, reason)
}

// close begins the closing handshake, unless the browser has by itself. A page
// may send 1000 and the codes of applications only: 1009 leaves as 4009.
func (b *browser) close(code int, reason string) error {
	switch state := b.ws.Get("readyState").Int(); {
	case state > stateOpen:
		return nil
	case code == wire.NoStatus:
		return try(func() { b.ws.Call("close") })
	case code != 1000 && code < 3000:
		code += 3000
	}
	return try(func() { b.ws.Call("close", code, reason) })
}
