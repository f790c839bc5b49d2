package wire

import "unicode/utf8"

// text checks UTF-8 that comes in pieces, and says no at the first byte after
// which it can't become valid any more.
type text struct {
	tail [utf8.UTFMax]byte // the beginning of a character whose end has not come
	n    int
}

// add reports whether the text can still be valid.
func (t *text) add(p []byte) bool {
	for t.n > 0 && len(p) > 0 {
		t.tail[t.n] = p[0]
		t.n++
		p = p[1:]
		if utf8.FullRune(t.tail[:t.n]) { // also when it is none
			if _, size := utf8.DecodeRune(t.tail[:t.n]); size == 1 {
				return false
			}
			t.n = 0
		}
	}
	whole := len(p)
	for i := len(p) - 1; i >= 0; i-- {
		if utf8.RuneStart(p[i]) {
			if !utf8.FullRune(p[i:]) {
				whole = i
			}
			break
		}
	}
	t.n += copy(t.tail[t.n:], p[whole:])
	return utf8.Valid(p[:whole])
}

// ends reports whether the text may end here.
func (t *text) ends() bool { return t.n == 0 }
