package wsnotifytest

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net/http"
	"strings"
)

// Compress says whether the server agrees to permessage-deflate (RFC 7692) with clients that offer it,
// from the next handshake on. By default it declines every extension, and a compressed frame is a
// violation. Then SendText, SendBinary, Notify and Echo compress what they send; WriteFrame and
// WriteRaw send what they are given.
func (s *Server) Compress(on bool) { s.behave(func(b *behaviour) { b.compress = on }) }

// A deflate is the state of permessage-deflate on one connection. The two directions don't share
// anything: the reader uses one, those who write the other.
type deflate struct {
	out      *flate.Writer
	buf      bytes.Buffer
	outAlone bool // server_no_context_takeover

	in      io.ReadCloser
	inAlone bool   // client_no_context_takeover
	window  []byte // the last 32 KiB of what was received
}

const (
	windowSize  = 32 << 10
	deflateTail = "\x00\x00\xff\xff"                   // left out at the end of a message (section 7.2.1)
	finalBlock  = deflateTail + "\x01\x00\x00\xff\xff" // and an empty last block, so that the reader ends
)

// negotiate takes the first offer of permessage-deflate that compress/flate can keep, and the
// parameters of the answer. Whether contexts are kept is the client's choice.
func negotiate(h http.Header) (*deflate, string) {
offers:
	for _, offer := range tokens(h, "Sec-WebSocket-Extensions") {
		params := strings.Split(offer, ";")
		if strings.TrimSpace(params[0]) != "permessage-deflate" {
			continue
		}
		d, answer := new(deflate), "permessage-deflate"
		for _, p := range params[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
			switch {
			case name == "server_no_context_takeover":
				d.outAlone = true
				answer += "; " + name
			case name == "client_no_context_takeover":
				d.inAlone = true
				answer += "; " + name
			case name == "server_max_window_bits" && strings.Trim(value, `"`) == "15", name == "client_max_window_bits":
				// What every client does anyway, or only a hint (section 7.1.2.2).
			default:
				continue offers
			}
		}
		return d, answer
	}
	return nil, ""
}

// compress returns the payload of a frame; it is valid until the next call.
func (d *deflate) compress(p []byte) ([]byte, error) {
	d.buf.Reset()
	switch {
	case d.out == nil:
		d.out, _ = flate.NewWriter(&d.buf, flate.BestSpeed)
	case d.outAlone:
		d.out.Reset(&d.buf)
	}
	if _, err := d.out.Write(p); err != nil {
		return nil, err
	}
	if err := d.out.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(d.buf.Bytes(), []byte(deflateTail)), nil
}

// inflate returns a message; the error is a violation.
func (d *deflate) inflate(p []byte) ([]byte, error) {
	src := io.MultiReader(bytes.NewReader(p), strings.NewReader(finalBlock))
	if d.in == nil {
		d.in = flate.NewReader(src)
	} else if err := d.in.(flate.Resetter).Reset(src, d.window); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(d.in, maxMessage+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.As(err, new(flate.CorruptInputError)):
		return nil, violation("compressed message can't be inflated (RFC 7692, section 7.2.2)")
	case err != nil:
		return nil, err
	case len(data) > maxMessage:
		return nil, violation("message is too long")
	}
	if !d.inAlone {
		d.window = append(d.window, data...)
		if extra := len(d.window) - windowSize; extra > 0 {
			d.window = append(d.window[:0], d.window[extra:]...)
		}
	}
	return data, nil
}
