//go:build js

// The program of the page: it shows notifications, the state of the connection
// and how long it is until the next attempt.
package main

import (
	"context"
	"fmt"
	"syscall/js"
	"time"

	"github.com/wsnotify/wsnotify"
)

func main() {
	changed := make(chan struct{}, 1)
	change := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	client := wsnotify.New(wsnotify.Config{
		BackOff:        wsnotify.Exponential(time.Second, 10*time.Second, -1),
		OnStateChange:  func(wsnotify.StateChange) { change() },
		OnReconnecting: func(wsnotify.ReconnectEvent) { change() },
		OnNotification: func(n wsnotify.Notification) { show(n.MsgType, n.Content) },
		OnClose:        func(ev wsnotify.CloseEvent) { show("closed", fmt.Sprintf("%d %s", ev.Code, ev.Reason)) },
	})
	location := js.Global().Get("location")
	server := "ws://" + location.Get("host").String() + "/ws/"
	if location.Get("protocol").String() == "https:" { // where ws:// is mixed content, which browsers block
		server = "wss://" + location.Get("host").String() + "/ws/"
	}
	on := true // the user wants a connection
	connect := func() { client.Connect(context.Background(), server, "ada") }
	go connect()

	// What a click does runs on a goroutine of its own: while JavaScript waits for
	// a function of Go, the page stands still, and so does its WebSocket.
	click("switch", func() {
		if on = !on; on {
			connect()
		} else {
			client.Disconnect()
		}
	})
	click("ask", func() {
		if err := client.Enqueue(wsnotify.MessageText, []byte("news")); err != nil {
			show("error", err.Error())
		}
	})
	for {
		draw(client.Status(), on)
		select {
		case <-changed:
		case <-time.After(time.Second):
		}
	}
}

// element is the part of the page with an id.
func element(id string) js.Value {
	return js.Global().Get("document").Call("getElementById", id)
}

// click lets f run at each click on a button.
func click(id string, f func()) {
	element(id).Set("onclick", js.FuncOf(func(js.Value, []js.Value) any {
		go f()
		return nil
	}))
}

// draw shows how it stands.
func draw(s wsnotify.Status, on bool) {
	text := s.ReadyState.String()
	if left := time.Until(s.NextAttempt); !s.NextAttempt.IsZero() {
		text = fmt.Sprintf("attempt %d in %.0f s", s.ReconnectAttempts, max(left.Seconds(), 0))
	}
	state := element("state")
	state.Set("textContent", text)
	state.Set("className", s.ReadyState.String())
	details := fmt.Sprintf("connection %d, %d in, %d out", s.Epoch, s.MessagesIn, s.MessagesOut)
	if s.RTT > 0 {
		details += fmt.Sprintf(", round trip %v", s.RTT.Round(time.Millisecond/10))
	}
	if s.Queued > 0 {
		details += fmt.Sprintf(", %d waiting", s.Queued)
	}
	element("details").Set("textContent", details)
	label := "Connect"
	if on {
		label = "Disconnect"
	}
	element("switch").Set("textContent", label)
	element("ask").Set("disabled", !on)
}

// show puts a notification on top of the list. What came is text, never HTML.
func show(title, content string) {
	document := js.Global().Get("document")
	item := document.Call("createElement", "li")
	for _, part := range []struct{ tag, text string }{
		{"time", time.Now().Format("15:04:05")}, {"b", title}, {"span", content},
	} {
		e := document.Call("createElement", part.tag)
		e.Set("textContent", part.text)
		item.Call("append", e)
	}
	list := element("list")
	list.Call("prepend", item)
	if list.Get("childElementCount").Int() > 50 {
		list.Get("lastElementChild").Call("remove")
	}
}
