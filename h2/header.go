package h2

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// requestFields makes an extended CONNECT of the request for an upgrade: RFC
// 8441, section 4. The fields that only HTTP/1.1 knows stay behind, RFC 9113,
// section 8.2.2.
func requestFields(r *http.Request) ([]hpack.HeaderField, error) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if begin, end := strings.IndexByte(host, '%'), strings.IndexByte(host, ']'); begin >= 0 && begin < end {
		host = host[:begin] + host[end:] // a zone is of use on this machine alone: RFC 6874
	}
	path := r.URL.RequestURI()
	fields := []hpack.HeaderField{
		{Name: ":method", Value: http.MethodConnect},
		{Name: ":protocol", Value: "websocket"},
		{Name: ":scheme", Value: r.URL.Scheme},
		{Name: ":authority", Value: host},
		{Name: ":path", Value: path, Sensitive: r.URL.RawQuery != ""}, // a token may stand in it
	}
	for name, values := range r.Header {
		lower := strings.ToLower(name)
		sensitive := false
		switch lower {
		case "connection", "upgrade", "host", "sec-websocket-key", "keep-alive", "proxy-connection", "transfer-encoding", "te":
			continue
		case "user-agent":
			if len(values) == 0 || values[0] == "" {
				continue // as net/http: left out on purpose
			}
		case "authorization", "cookie", "proxy-authorization", "sec-websocket-protocol":
			sensitive = true // no neighbour on the connection may find out about it: RFC 7541, section 7.1
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("h2: %q is not the name of a header field", name)
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, fmt.Errorf("h2: the value of the header field %s holds a control character", name)
			}
			fields = append(fields, hpack.HeaderField{Name: lower, Value: value, Sensitive: sensitive})
		}
	}
	if _, set := r.Header["User-Agent"]; !set {
		fields = append(fields, hpack.HeaderField{Name: "user-agent", Value: "Go-http-client/2.0"})
	}
	return fields, nil
}

// headers queues a request, in as many frames as it needs. c is locked.
func (o *outbound) headers(id uint32, fields []hpack.HeaderField) {
	o.block.Reset()
	for _, f := range fields {
		o.encoder.WriteField(f)
	}
	block := o.block.Bytes()
	first := block[:min(len(block), maxFrame)]
	block = block[len(first):]
	o.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: first, EndHeaders: len(block) == 0})
	for len(block) > 0 {
		part := block[:min(len(block), maxFrame)]
		block = block[len(part):]
		o.framer.WriteContinuation(id, len(block) == 0, part)
	}
	o.wake()
}

// headerBlock gathers the frames of one block of a server's headers.
type headerBlock struct {
	id   uint32
	end  bool // of the stream
	data []byte
	more int // frames behind the first
}

// maxContinuations is how many frames the headers of a response may have.
const maxContinuations = 32

func (c *conn) gotHeaders(f *http2.HeadersFrame) error {
	if _, err := c.find(f.StreamID, http2.FrameHeaders); err != nil {
		return err
	}
	b := &c.in.block
	b.id, b.end, b.more, b.data = f.StreamID, f.StreamEnded(), 0, b.data[:0]
	return c.gotBlock(f.HeaderBlockFragment(), f.HeadersEnded())
}

func (c *conn) gotContinuation(f *http2.ContinuationFrame) error {
	if c.in.block.more++; c.in.block.more > maxContinuations {
		return connectionError(http2.ErrCodeEnhanceYourCalm, "the headers of a response in more than %d frames", maxContinuations)
	}
	return c.gotBlock(f.HeaderBlockFragment(), f.HeadersEnded())
}

// gotBlock decodes a block once it is whole. One for a stream that has ended is
// decoded, too: the table of the next ones follows from it.
func (c *conn) gotBlock(fragment []byte, whole bool) error {
	b := &c.in.block
	if len(b.data)+len(fragment) > maxHeaderList {
		return connectionError(http2.ErrCodeEnhanceYourCalm, "the headers of a response are longer than %d bytes", maxHeaderList)
	}
	b.data = append(b.data, fragment...)
	if !whole {
		return nil
	}
	h := &header{fields: http.Header{}}
	c.in.decoder.SetEmitFunc(func(f hpack.HeaderField) { h.add(c.in.decoder, f) })
	c.in.decoder.SetEmitEnabled(true)
	_, err := c.in.decoder.Write(b.data)
	if err == nil {
		err = c.in.decoder.Close()
	}
	if cap(b.data) > 4<<10 {
		b.data = nil
	}
	if err != nil {
		return connectionError(http2.ErrCodeCompression, "its headers can't be decompressed")
	}
	return c.gotResponse(b.id, b.end, h)
}

// header is a block that is being decoded.
type header struct {
	status  string
	fields  http.Header
	regular bool // a field that is no pseudo-header has come
	size    int
	err     error // what is wrong with it
}

func (h *header) add(d *hpack.Decoder, f hpack.HeaderField) {
	switch h.size += int(f.Size()); {
	case h.size > maxHeaderList:
		h.err = fmt.Errorf("the headers of a response are longer than %d bytes", maxHeaderList)
		d.SetEmitEnabled(false) // the rest is of use for the table alone
	case h.err != nil:
	case f.Name == ":status":
		if h.regular || h.status != "" {
			h.err = errors.New("a :status at the wrong place")
		}
		h.status = f.Value
	case strings.HasPrefix(f.Name, ":"):
		h.err = errors.New("a response with a pseudo-header of requests")
	case !httpguts.ValidHeaderFieldName(f.Name) || strings.ToLower(f.Name) != f.Name:
		h.err = errors.New("the name of a header field has a character that it must not have")
	case !httpguts.ValidHeaderFieldValue(f.Value):
		h.err = errors.New("the value of a header field has a character that it must not have")
	case f.Name == "connection" || f.Name == "transfer-encoding" || f.Name == "upgrade" || f.Name == "keep-alive" || f.Name == "proxy-connection":
		h.err = fmt.Errorf("a header field of HTTP/1.1 alone, %s", f.Name)
	default:
		h.regular = true
		name := textproto.CanonicalMIMEHeaderKey(f.Name)
		h.fields[name] = append(h.fields[name], f.Value)
	}
}

// response is what the headers say.
func (h *header) response() (*http.Response, error) {
	status, err := strconv.Atoi(h.status)
	if err != nil || len(h.status) != 3 || status < 100 {
		return nil, errors.New("a response without a status of three digits")
	}
	length := int64(-1)
	if values := h.fields["Content-Length"]; len(values) == 1 {
		if n, err := strconv.ParseUint(values[0], 10, 63); err == nil {
			length = int64(n)
		}
	}
	return &http.Response{
		Status: h.status + " " + http.StatusText(status), StatusCode: status,
		Proto: "HTTP/2.0", ProtoMajor: 2, Header: h.fields, ContentLength: length,
	}, nil
}
