package transport

import (
	"syscall/js"
	"time"
)

// turns lets a goroutine wait for the browser's event loop to go round, which
// takes much less than its shortest timer, and is not throttled in a hidden
// page. The zero value is ready; only one goroutine uses it.
type turns struct {
	port   js.Value // of a MessageChannel to ourselves
	self   js.Value // its other end
	handle js.Func
	came   chan struct{} // of capacity 1
}

const (
	quickTurns = 32                    // without a timer
	longTurn   = 16 * time.Millisecond // between two looks, at most
)

// wait waits for longer the more often it was tried. It returns false when
// quit is closed.
func (t *turns) wait(try int, quit <-chan struct{}) bool {
	if try < quickTurns && t.post() {
		select {
		case <-t.came:
			return true
		case <-quit:
			return false
		}
	}
	timer := time.NewTimer(min(longTurn, time.Millisecond<<min(try/quickTurns, 8)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-quit:
		return false
	}
}

// post sends a message to ourselves, if that is possible here.
func (t *turns) post() bool {
	if t.came == nil {
		constructor := js.Global().Get("MessageChannel")
		if constructor.Type() != js.TypeFunction {
			return false
		}
		channel := constructor.New()
		t.port, t.self = channel.Get("port1"), channel.Get("port2")
		t.came = make(chan struct{}, 1)
		t.handle = js.FuncOf(func(js.Value, []js.Value) any {
			select {
			case t.came <- struct{}{}:
			default:
			}
			return nil
		})
		t.port.Set("onmessage", t.handle)
	}
	t.self.Call("postMessage", nil)
	return true
}

// stop leaves nothing of it in the browser.
func (t *turns) stop() {
	if t.came == nil {
		return
	}
	t.port.Set("onmessage", nil)
	t.port.Call("close")
	t.handle.Release()
	t.came = nil
}

// OnWake calls wake whenever there is a reason to look at once: the network is
// back, or the page is shown again. wake must not block. Nothing of it is left
// after stop.
func OnWake(wake func()) (stop func()) {
	window, document := js.Global(), js.Global().Get("document")
	handle := js.FuncOf(func(_ js.Value, args []js.Value) any {
		hidden := args[0].Get("type").String() == "visibilitychange" && document.Get("visibilityState").String() == "hidden"
		if !hidden && !offline() {
			wake()
		}
		return nil
	})
	type source struct {
		target js.Value
		event  string
	}
	var sources []source
	for _, s := range []source{{window, "online"}, {window, "pageshow"}, {document, "visibilitychange"}} {
		// A worker has no document, and Node no events of a page.
		if s.target.Type() == js.TypeObject && s.target.Get("addEventListener").Type() == js.TypeFunction {
			s.target.Call("addEventListener", s.event, handle)
			sources = append(sources, s)
		}
	}
	return func() {
		for _, s := range sources {
			s.target.Call("removeEventListener", s.event, handle)
		}
		handle.Release()
	}
}

// offline reports that the browser is sure to have no network.
func offline() bool {
	navigator := js.Global().Get("navigator")
	return navigator.Type() == js.TypeObject && navigator.Get("onLine").Equal(js.ValueOf(false))
}
