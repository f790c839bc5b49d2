package wsnotify

import "testing"

// A Reconnect that was requested when the connection had just been lost cuts short
// the wait that follows.
func TestReconnectRequestWaitsForTheNextDial(t *testing.T) {
	r := &run{}
	first, second := newReconnectRequest(), newReconnectRequest()
	r.setReconnectRequest(first, nil)
	first.request()
	r.setReconnectRequest(second, nil)
	if r.reconnectReq != first {
		t.Error("it was forgotten")
	}
	r.setReconnectRequest(nil, nil)
	<-first.done
	if r.reconnectReq != nil {
		t.Error("it is still there")
	}
}
