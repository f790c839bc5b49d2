package harness

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wsnotify/wsnotify"
)

// Describe is what a program may decide by.
func Describe(f wsnotify.Failure) string {
	s := fmt.Sprintf("%v, %v", f.Phase, f.Initiator)
	if f.HTTPStatus != 0 {
		s += fmt.Sprintf(", status %d", f.HTTPStatus)
	}
	if f.Code >= 0 {
		s += fmt.Sprintf(", code %d", f.Code)
	}
	if f.RetryAfter != 0 {
		s += fmt.Sprintf(", retry after %v", f.RetryAfter)
	}
	return s
}

// Typed names what a program can find in an error.
func Typed(err error) string {
	var handshake *wsnotify.HandshakeError
	var closed wsnotify.CloseError
	switch {
	case errors.As(err, &handshake):
		return "*HandshakeError"
	case errors.As(err, &closed):
		return "CloseError"
	case errors.Is(err, wsnotify.ErrHeartbeatTimeout):
		return "ErrHeartbeatTimeout"
	}
	return ""
}

// CheckShown fails when a text is not fit for a terminal or a log.
func CheckShown(t *testing.T, text string) {
	t.Helper()
	if len(text) > 1000 {
		t.Errorf("the text has %d bytes", len(text))
	}
	// U+FFFD itself prints: encoding/json shows one that a peer has sent, from Go 1.27 on.
	if i := strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }); i >= 0 || !utf8.ValidString(text) {
		t.Errorf("%q holds what does not print", text)
	}
}
