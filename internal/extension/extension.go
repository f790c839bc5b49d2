package extension

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/wsnotify/wsnotify/internal/deflate"
)

// The name of the extension and of its parameters, RFC 7692, section 7.1.
const (
	name             = "permessage-deflate"
	serverNoTakeover = "server_no_context_takeover"
	clientNoTakeover = "client_no_context_takeover"
	serverWindowBits = "server_max_window_bits"
	clientWindowBits = "client_max_window_bits"
)

// MaxWindow is the largest window, in bits; what is not said means that.
const MaxWindow = 15

const minWindow = 8

// Params are what both sides have to keep to: the windows of what each sends, as
// bits from 8 to 15, and whether a message may refer to earlier ones.
type Params struct {
	ServerWindow, ClientWindow     int
	ServerTakeover, ClientTakeover bool
}

// String is the answer of a server that agrees to p.
func (p *Params) String() string {
	s := name
	if !p.ServerTakeover {
		s += "; " + serverNoTakeover
	}
	if !p.ClientTakeover {
		s += "; " + clientNoTakeover
	}
	if p.ServerWindow < MaxWindow {
		s += "; " + serverWindowBits + "=" + strconv.Itoa(p.ServerWindow)
	}
	if p.ClientWindow < MaxWindow {
		s += "; " + clientWindowBits + "=" + strconv.Itoa(p.ClientWindow)
	}
	return s
}

// Client returns what a client decompresses and compresses with.
func (p *Params) Client() (*deflate.Inflater, *deflate.Deflater) {
	return inflater(p.ServerWindow, p.ServerTakeover), deflate.NewDeflater(1<<p.ClientWindow, p.ClientTakeover)
}

// Server returns what a server decompresses and compresses with.
func (p *Params) Server() (*deflate.Inflater, *deflate.Deflater) {
	return inflater(p.ClientWindow, p.ClientTakeover), deflate.NewDeflater(1<<p.ServerWindow, p.ServerTakeover)
}

// inflater returns one for a window of so many bits. zlib, which most peers
// compress with, can't do 8 and takes 9 instead, so a peer that agreed to 8 is
// allowed 9. This side keeps to 8.
func inflater(bits int, takeover bool) *deflate.Inflater {
	return deflate.NewInflater(1<<max(bits, minWindow+1), takeover)
}

// An Offer is what a client asks for.
type Offer struct {
	Window   int // bits, 9 to 15, for both directions
	Takeover bool
}

// String is the value of the header. With the largest window and takeover it is
// what browsers send.
func (o *Offer) String() string {
	s := name
	if !o.Takeover {
		s += "; " + clientNoTakeover + "; " + serverNoTakeover
	}
	if o.Window == MaxWindow {
		return s + "; " + clientWindowBits
	}
	return s + fmt.Sprintf("; %s=%d; %s=%[2]d", clientWindowBits, o.Window, serverWindowBits)
}

// Agree returns what a server's answer to o means, nil if it declined. An
// error says why the answer is not allowed. A nil Offer offered nothing.
//
// A server that was asked for server_no_context_takeover and does not grant it
// may still be understood, by keeping its window.
func (o *Offer) Agree(answer []string) (*Params, error) {
	list, err := parse(answer)
	switch {
	case err != nil:
		return nil, err
	case len(list) == 0:
		return nil, nil
	case o == nil:
		return nil, errors.New("no extension was offered")
	case len(list) > 1:
		return nil, errors.New("it has several extensions, and one was offered")
	case list[0].name != name:
		return nil, errors.New("it has an extension that was not offered; " + name + " was")
	}
	p := &Params{ServerWindow: MaxWindow, ClientWindow: o.Window, ServerTakeover: true, ClientTakeover: o.Takeover}
	bound, err := p.set(list[0].params, o.Window, false)
	if err != nil {
		return nil, err
	}
	if !bound && o.Window < MaxWindow {
		return nil, fmt.Errorf("it has no %s, and %d was offered", serverWindowBits, o.Window)
	}
	return p, nil
}

// Accept answers a client's offers with the first that is allowed: what was
// agreed on and the value of the header, or nil and "" if there is none.
func Accept(offers []string) (*Params, string) {
	list, _ := parse(offers) // of a malformed one there is none
	for _, e := range list {
		p := &Params{ServerWindow: MaxWindow, ClientWindow: MaxWindow, ServerTakeover: true, ClientTakeover: true}
		bound, err := p.set(e.params, MaxWindow, true)
		if e.name != name || err != nil {
			continue
		}
		answer := p.String()
		if bound && p.ServerWindow == MaxWindow { // what was asked for is granted in words
			answer += "; " + serverWindowBits + "=" + strconv.Itoa(MaxWindow)
		}
		return p, answer
	}
	return nil, ""
}

// set changes p as the parameters of an offer or an answer say, with windows of at
// most most bits. It reports whether they bind the server's window.
func (p *Params) set(params []param, most int, offer bool) (bound bool, err error) {
	for _, param := range params {
		switch param.name {
		case serverNoTakeover:
			p.ServerTakeover = false
			err = flag(param)
		case clientNoTakeover:
			p.ClientTakeover = false
			err = flag(param)
		case serverWindowBits:
			bound = true
			p.ServerWindow, err = window(param, most)
		case clientWindowBits:
			if param.valued || !offer { // without, an offer says that the client can be bound
				p.ClientWindow, err = window(param, most)
			}
		default:
			err = errUnknown
		}
		if err != nil {
			return false, err
		}
	}
	return bound, nil
}

// errUnknown does not repeat the name, which is the peer's.
var errUnknown = errors.New("it has a parameter that " + name + " does not have")

func flag(p param) error {
	if p.valued {
		return fmt.Errorf("its parameter %s has a value, and takes none", p.name)
	}
	return nil
}

// window reads a window of at most most bits.
func window(p param, most int) (int, error) {
	for bits := minWindow; bits <= most; bits++ {
		if p.value == strconv.Itoa(bits) {
			return bits, nil
		}
	}
	return 0, fmt.Errorf("its parameter %s must be a number from %d to %d", p.name, minWindow, most)
}
