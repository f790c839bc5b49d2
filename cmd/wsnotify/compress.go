package main

import (
	"math"

	"github.com/wsnotify/wsnotify/internal/deflate"
	"github.com/wsnotify/wsnotify/internal/extension"
)

// Compression, RFC 7692, as the client has asked for it. Its windows take some 100 KB for a client.
// A message that is large once it is decompressed is one of a few at once, like one that comes so.

// compression is that of one socket; it has no codecs if none was agreed on.
type compression struct {
	inflater *deflate.Inflater // the reader's
	deflater *deflate.Deflater // guarded by socket.writing
}

// agree uses what was agreed on.
func (c *compression) agree(p *extension.Params) {
	if p != nil {
		c.inflater, c.deflater = p.Server()
	}
}

// mayGrow is how long a message may be while it is compressed: what can't be compressed becomes
// longer, by less than this.
func (s *socket) mayGrow(limit int64) int64 { return limit + limit/8 + 1024 }

// inflate decompresses a message.
func (s *socket) inflate(data []byte) ([]byte, error) {
	limit := int64(math.MaxInt)
	if s.limit >= 0 {
		limit = s.limit
	}
	out, err := s.inflater.Inflate(nil, data, int(min(limit, smallMessage)))
	if err == deflate.ErrTooBig && limit > smallMessage {
		if err := s.hold(); err != nil {
			return nil, err
		}
		out, err = s.inflater.Inflate(nil, data, int(min(limit, math.MaxInt)))
	}
	switch {
	case err == deflate.ErrTooBig:
		return nil, s.tooBig()
	case err != nil:
		return nil, violation("a compressed message is corrupt: %v (RFC 7692, section 7.2.2)", err)
	}
	return out, nil
}

// deflate returns a payload as it leaves, and its opcode with RSV1 if it is compressed.
func (s *socket) deflate(op byte, payload []byte) (byte, []byte) {
	if s.deflater == nil || op >= opClose {
		return op, payload
	}
	return op | rsv1, s.deflater.Deflate(nil, payload, true)
}
