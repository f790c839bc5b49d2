package position

import (
	"cmp"
	"math/big"
	"strconv"
	"strings"
)

// place is a position as it is kept. A whole number of at most 18 digits, as
// nearly all are, is kept as such, so that no message needs a string; the zero
// value is "".
type place struct {
	next int64  // the number behind it; 0 if it is no such number
	text string // as it stands; "" for a number that is spelled as strconv does
}

func (p place) String() string {
	if p.text != "" || p.next == 0 {
		return p.text
	}
	return strconv.FormatInt(p.next-1, 10)
}

// plain returns the place of a number that is spelled as strconv does, with at
// most 18 digits.
func plain[P string | []byte](s P) (place, bool) {
	if len(s) == 0 || len(s) > 18 || s[0] == '0' && len(s) > 1 {
		return place{}, false
	}
	var n int64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return place{}, false
		}
		n = 10*n + int64(c)
	}
	return place{next: n + 1}, true
}

// longest bounds the digits of a number, whose comparison a server could
// otherwise make arbitrarily slow.
const longest = 128

// number is a position that is a decimal number: digits, with a sign and a
// fraction where the server has them.
type number struct {
	place
	large *big.Rat // nil if next says it
}

// parse returns the number that a position spells. An exponent is none: the
// position is compared and shown as it stands.
func parse(s string) (number, bool) {
	if p, ok := plain(s); ok {
		return number{place: p}, true
	}
	if len(s) > longest {
		return number{}, false
	}
	if p, ok := plain(strings.TrimLeft(s, "0")); ok {
		p.text = s
		return number{place: p}, true
	}
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if !isDigits(whole) || dotted && !isDigits(fraction) {
		return number{}, false
	}
	r, ok := new(big.Rat).SetString(s)
	return number{place: place{text: s}, large: r}, ok
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (n number) compare(m number) int {
	if n.large == nil && m.large == nil {
		return cmp.Compare(n.next, m.next)
	}
	return n.rat().Cmp(m.rat())
}

// follows reports whether n is m + 1.
func (n number) follows(m number) bool {
	if n.large == nil && m.large == nil {
		return n.next == m.next+1
	}
	return n.rat().Cmp(new(big.Rat).Add(m.rat(), big.NewRat(1, 1))) == 0
}

func (n number) rat() *big.Rat {
	if n.large != nil {
		return n.large
	}
	return new(big.Rat).SetInt64(n.next - 1)
}
