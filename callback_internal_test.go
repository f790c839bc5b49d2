package wsnotify

import (
	"testing"
	"testing/synctest"
	"time"
)

// While callbacks follow each other, since is late by a sixteenth of SlowCallback
// or half a second at most, and the clock is read no more often than that needs.
func TestCallbackSinceIsLateByATickAtMost(t *testing.T) {
	for slow, tick := range map[time.Duration]time.Duration{
		-1: 500 * time.Millisecond, time.Minute: 500 * time.Millisecond, 8 * time.Second: 500 * time.Millisecond,
		4 * time.Second: 250 * time.Millisecond, 16 * time.Millisecond: time.Millisecond, time.Millisecond: time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			each := tick / 50
			var c callbacks
			c.init(slow, func(*callbackName, time.Duration) {})
			defer c.stop()
			var late time.Duration
			for began := time.Now(); time.Since(began) < 3*tick; time.Sleep(each) {
				c.enter(nameOnMessage)
				late = max(late, time.Since(c.runningSince()))
			}
			if late > tick || late < tick-2*each {
				t.Errorf("slow %v: late by %v, want %v", slow, late, tick)
			}
		})
	}
}

// No callback runs while a message is passed over that nobody wants.
func TestMessagesForNobodyRunNoCallback(t *testing.T) {
	for name, msg := range map[string]Message{
		"binary": {Type: MessageBinary}, "a type that nobody handles": {Type: MessageText, Data: []byte(`{"msgType":"a","content":"b"}`)},
		"no JSON": {Type: MessageText, Data: []byte("no")},
	} {
		c := New(Config{SlowCallback: -1})
		c.callbacks.enter(nameOnMessage)
		if c.callbacks.runningSince().IsZero() {
			t.Error("no callback runs")
		}
		c.deliver(msg, false)
		if at := c.callbacks.runningSince(); !at.IsZero() {
			t.Errorf("%s: a callback runs since %v", name, at)
		}
		c.callbacks.stop()
	}
}
