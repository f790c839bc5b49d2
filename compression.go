package wsnotify

import (
	"github.com/wsnotify/wsnotify/internal/extension"
	"github.com/wsnotify/wsnotify/internal/transport"
)

// CompressionAgreement is what a handshake agreed on about compression,
// permessage-deflate of RFC 7692, section 7.1. Zero means that nothing is compressed.
//
// A window is how far back compressed data refers, at most, and what the receiver
// keeps for that. With takeover a message may refer to earlier ones, so that short
// messages become shorter, and both sides keep their windows between messages.
type CompressionAgreement struct {
	ServerWindow, ClientWindow     int // of what each sends, in bits from 8 to 15; 15 is 32 KiB
	ServerTakeover, ClientTakeover bool
}

// String is the agreement as a server writes it into Sec-WebSocket-Extensions,
// "permessage-deflate" with its parameters; "" for none.
func (a CompressionAgreement) String() string {
	if a == (CompressionAgreement{}) {
		return ""
	}
	p := extension.Params(a)
	return p.String()
}

// agreement is what a handshake agreed on.
func agreement(tr transport.Conn) CompressionAgreement {
	if tr, ok := tr.(interface{ Compression() *extension.Params }); ok {
		if p := tr.Compression(); p != nil {
			return CompressionAgreement(*p)
		}
	}
	return CompressionAgreement{}
}

// offer is what a handshake offers; nil is nothing.
func (cfg *Config) offer() *extension.Offer {
	if cfg.Compression == CompressionDisabled {
		return nil
	}
	return &extension.Offer{Window: cfg.CompressionWindow, Takeover: cfg.Compression == CompressionContextTakeover}
}
