//go:build !js

package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify/internal/wire"
)

// codec compresses and decompresses messages, RFC 7692, by a connection of
// coder/websocket that has no peer: it reads frames that are made for it, and
// what it writes is taken apart again.
type codec struct {
	ws *websocket.Conn

	in   []byte // what ws has still to read; the reader's
	head [10]byte
	out  []byte // what ws has written; the writer's
}

// Read gives ws the message under way.
func (c *codec) Read(p []byte) (int, error) {
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// Write takes what ws encodes.
func (c *codec) Write(p []byte) (int, error) {
	c.out = append(c.out, p...)
	return len(p), nil
}

// Close is for ws, which has no connection to close.
func (c *codec) Close() error { return nil }

// inflate returns the message that payload was made of, of at most limit
// bytes; negative means any.
func (c *codec) inflate(op wire.Op, payload []byte, limit int64) ([]byte, error) {
	head := append(c.head[:0], wire.Fin|wire.RSV1|byte(op), 127)
	head = binary.BigEndian.AppendUint64(head, uint64(len(payload)))
	c.in = append(head, payload...)
	defer func() { c.in = nil }()
	_, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return nil, inflateError(err, limit)
	}
	data := make([]byte, 0, max(512, 4*min(len(payload), 1<<18)))
	for {
		if len(data) == cap(data) {
			data = append(data, make([]byte, cap(data))...)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case limit >= 0 && int64(len(data)) > limit:
			return nil, inflateError(websocket.ErrMessageTooBig, limit)
		case errors.Is(err, io.EOF):
			return data, nil
		case err != nil:
			return nil, inflateError(err, limit)
		}
	}
}

func inflateError(err error, limit int64) error {
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return &wire.Violation{Code: wire.TooBig, Text: fmt.Sprintf("a compressed message is too big: it has more than %d bytes, which is ReadLimit", limit)}
	}
	return &wire.Violation{Code: wire.ProtocolError, Text: "a compressed message can't be decompressed: " + err.Error()}
}

// deflate returns the payload of the frame that a message becomes, and whether
// it is compressed: short ones are not. The payload is valid until the next
// call.
func (c *codec) deflate(op wire.Op, data []byte) (payload []byte, compressed bool, err error) {
	c.out = c.out[:0]
	if err := c.ws.Write(context.Background(), websocket.MessageType(op), data); err != nil {
		return nil, false, err
	}
	b := c.out
	header := 6
	switch b[1] & 0x7f {
	case 126:
		header = 8
	case 127:
		header = 14
	}
	key := binary.LittleEndian.Uint32(b[header-4:])
	payload = wire.AppendMasked(b[:header], bytes.Clone(b[header:]), key)[header:]
	return payload, b[0]&wire.RSV1 != 0, nil
}
