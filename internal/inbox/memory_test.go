package inbox

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/wsnotify/wsnotify/internal/wire"
)

// Messages that share memory keep it until the last of them has been dispatched, and
// no longer.
func TestMemoryOfMessages(t *testing.T) {
	wire.Poison = true
	defer func() { wire.Poison = false }()
	const messages = 5000
	content := func(n int) []byte {
		one := binary.BigEndian.AppendUint16(nil, uint16(n))
		return bytes.Repeat(one, 1+n%7*n%300)
	}
	var stream []byte
	for n := range messages {
		data := content(n)
		if len(data) <= 125 {
			stream = append(stream, 0x82, byte(len(data)))
		} else {
			stream = binary.BigEndian.AppendUint16(append(stream, 0x82, 126), uint16(len(data)))
		}
		stream = append(stream, data...)
	}

	var dispatched [][]byte
	q := &Queue{Limit: Limit{-1, -1}}
	q.Dispatch = func(m *Item) {
		if !bytes.Equal(m.Data, content(len(dispatched))) {
			t.Errorf("message %d has been written over", len(dispatched))
		}
		dispatched = append(dispatched, m.Data)
	}
	r := wire.NewReader(bytes.NewReader(stream), -1, false, true)
	events := make([]wire.Event, 16)
	batch := NewBatch()
	hand := func() {
		if q.Enqueue(batch) {
			q.Run()
		}
		batch = NewBatch()
	}
	for {
		n, err := r.Read(events)
		if err != nil {
			break
		}
		for _, ev := range events[:n] {
			if batch.Add(Item{Data: ev.Data, Memory: ev.Memory}) {
				hand()
			}
		}
	}
	hand()
	r.Close()
	if len(dispatched) != messages {
		t.Fatalf("%d of %d messages were dispatched", len(dispatched), messages)
	}
	for n, data := range dispatched {
		if bytes.Equal(data, content(n)) {
			t.Errorf("the memory of message %d, %d bytes, was never given back", n, len(data))
		}
	}
}
