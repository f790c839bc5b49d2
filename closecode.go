package wsnotify

import (
	"strconv"

	"github.com/wsnotify/wsnotify/internal/handshake"
)

// StatusCode is a close code of RFC 6455, section 7.4.
type StatusCode int

// The close codes that are registered with IANA. 1005, 1006 and 1015 are never
// sent: they stand for a close frame without a code, a connection that ended
// without a close frame, and a TLS handshake that failed. Applications may send
// 1000, and 3000 to 4999.
const (
	StatusNormalClosure           StatusCode = 1000
	StatusGoingAway               StatusCode = 1001
	StatusProtocolError           StatusCode = 1002
	StatusUnsupportedData         StatusCode = 1003
	StatusNoStatusRcvd            StatusCode = 1005
	StatusAbnormalClosure         StatusCode = 1006
	StatusInvalidFramePayloadData StatusCode = 1007
	StatusPolicyViolation         StatusCode = 1008
	StatusMessageTooBig           StatusCode = 1009
	StatusMandatoryExtension      StatusCode = 1010
	StatusInternalError           StatusCode = 1011
	StatusServiceRestart          StatusCode = 1012
	StatusTryAgainLater           StatusCode = 1013
	StatusBadGateway              StatusCode = 1014
	StatusTLSHandshake            StatusCode = 1015
)

// String returns the number and what it is registered for, such as "1001
// (going away)", or the number alone.
func (c StatusCode) String() string {
	text := strconv.Itoa(int(c))
	if name := c.name(); name != "" {
		text += " (" + name + ")"
	}
	return text
}

func (c StatusCode) name() string {
	switch c {
	case StatusNormalClosure:
		return "normal closure"
	case StatusGoingAway:
		return "going away"
	case StatusProtocolError:
		return "protocol error"
	case StatusUnsupportedData:
		return "unsupported data"
	case StatusNoStatusRcvd:
		return "no status received"
	case StatusAbnormalClosure:
		return "abnormal closure"
	case StatusInvalidFramePayloadData:
		return "invalid payload data"
	case StatusPolicyViolation:
		return "policy violation"
	case StatusMessageTooBig:
		return "message too big"
	case StatusMandatoryExtension:
		return "mandatory extension"
	case StatusInternalError:
		return "internal error"
	case StatusServiceRestart:
		return "service restart"
	case StatusTryAgainLater:
		return "try again later"
	case StatusBadGateway:
		return "bad gateway"
	case StatusTLSHandshake:
		return "TLS handshake"
	}
	return ""
}

// CloseError is the close frame of the server, as the cause of an error or a
// Failure. A frame without a code has 1005.
type CloseError struct {
	Code   StatusCode
	Reason string // at most 123 bytes
}

func (e CloseError) Error() string {
	text := prefix + "the server closed the connection with " + e.Code.String()
	if e.Reason != "" {
		text += ": " + handshake.Printable(e.Reason)
	}
	return text
}

// As lets errors.As find a *CloseError, too, which would compile and never match.
func (e CloseError) As(target any) bool {
	p, ok := target.(**CloseError)
	if ok {
		*p = &e
	}
	return ok
}
