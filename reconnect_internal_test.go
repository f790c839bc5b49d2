package wsnotify

import "testing"

// A Reconnect that was asked when the connection had just been lost is for
// the wait that follows.
func TestAskedReconnectIsKept(t *testing.T) {
	r := &run{}
	first, second := newRequest(), newRequest()
	r.listen(first, nil)
	first.isAsked = true
	close(first.asked)
	r.listen(second, nil)
	if r.request != first {
		t.Error("it was forgotten")
	}
	r.listen(nil, nil)
	<-first.done
	if r.request != nil {
		t.Error("it is still there")
	}
}
