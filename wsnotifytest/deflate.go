package wsnotifytest

import (
	"net/http"

	codec "github.com/wsnotify/wsnotify/internal/deflate"
	"github.com/wsnotify/wsnotify/internal/extension"
)

// Compress says whether the server agrees to permessage-deflate (RFC 7692) with clients that offer it,
// from the next handshake on: to the windows and the contexts that the client asks for. By default it
// declines every extension, and a compressed frame is a violation. Then SendText, SendBinary, Notify
// and Echo compress what they send; WriteFrame and WriteRaw send what they are given.
func (s *Server) Compress(on bool) { s.behave(func(b *behaviour) { b.compress = on }) }

// A deflate is permessage-deflate on one connection. The two directions don't share anything: the
// reader uses one, those who write the other.
type deflate struct {
	in  *codec.Inflater
	out *codec.Deflater
}

// negotiate takes the first offer that RFC 7692 allows, and returns the value of the header that
// answers it.
func negotiate(h http.Header) (*deflate, string) {
	agreed, answer := extension.Accept(h.Values("Sec-WebSocket-Extensions"))
	if agreed == nil {
		return nil, ""
	}
	d := new(deflate)
	d.in, d.out = agreed.Server()
	return d, answer
}

// compress returns the payload of a frame.
func (d *deflate) compress(p []byte) []byte { return d.out.Deflate(nil, p, true) }

// inflate returns a message; the error is a violation.
func (d *deflate) inflate(p []byte) ([]byte, error) {
	data, err := d.in.Inflate(nil, p, maxMessage)
	switch {
	case err == codec.ErrTooBig:
		return nil, violation("message is too long")
	case err != nil:
		return nil, violation("compressed message can't be inflated (RFC 7692, section 7.2.2): " + err.Error())
	}
	return data, nil
}
