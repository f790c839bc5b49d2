package wsnotifytest

import (
	"fmt"
	"strings"
)

// What failures say: enough to see what went wrong, however much there is.

// A message is one that a client has sent.
type message struct {
	typ  byte
	text string
}

func (m message) String() string {
	if m.typ == OpBinary {
		return "binary " + quote(m.text)
	}
	return quote(m.text)
}

// kind is String that names text, too.
func (m message) kind() string {
	if m.typ == OpText {
		return "text " + quote(m.text)
	}
	return m.String()
}

// quote shows at most 100 characters.
func quote(text string) string {
	short := fmt.Sprintf("%.100q", text)
	if len(text) > 100 && short != fmt.Sprintf("%.400q", text) {
		return fmt.Sprintf("%s… (%d bytes)", short, len(text))
	}
	return short
}

const (
	shownBefore = 5  // of what came before
	shownNames  = 10 // of a set
)

// latest shows the last of list, and how many there are.
func latest[T any](list []T, show func(T) string) string {
	if len(list) == 0 {
		return "[]"
	}
	shown := list[max(len(list)-shownBefore, 0):]
	texts := make([]string, len(shown))
	for i, v := range shown {
		texts[i] = show(v)
	}
	all := strings.Join(texts, ", ")
	if len(shown) == len(list) {
		return "[" + all + "]"
	}
	return fmt.Sprintf("%d: […, %s]", len(list), all)
}

// brief joins the first of names.
func brief(names []string, sep string) string {
	if more := len(names) - shownNames; more > 0 {
		return strings.Join(names[:shownNames], sep) + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, sep)
}

// soFar says what came on a connection so far, and whether it is open. Called with Server.mu held.
func (c *Conn) soFar() string {
	state := "is open"
	switch {
	case c.ended && (c.closeCode == codeAbnormal || c.closeCode == 0):
		state = "has ended without a close frame"
	case c.closeCode != 0:
		state = fmt.Sprintf("was closed by the client with %d", c.closeCode)
	}
	return fmt.Sprintf("%s %s, messages on it: %s", c.name(), state, latest(c.messages, message.String))
}
