package position

import (
	"math/big"
	"strings"
)

// number is a position that is a decimal number: digits, with a sign and a
// fraction where the server has them. small is its value where that is a whole
// number of at most 18 digits, as nearly all are.
type number struct {
	small int64
	large *big.Rat // nil for a small one
}

// longest bounds the digits of a number, whose comparison a server could
// otherwise make arbitrarily slow.
const longest = 128

// parse returns the number that a position spells. An exponent is none: the
// position is compared and shown as it stands.
func parse(s string) (number, bool) {
	if n, ok := small(s); ok {
		return n, true
	}
	digits := strings.TrimPrefix(s, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if len(s) > longest || !isDigits(whole) || dotted && !isDigits(fraction) {
		return number{}, false
	}
	r, ok := new(big.Rat).SetString(s)
	return number{large: r}, ok
}

func small(s string) (number, bool) {
	if len(s) == 0 || len(s) > 18 {
		return number{}, false
	}
	var n int64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return number{}, false
		}
		n = 10*n + int64(c)
	}
	return number{small: n}, true
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (n number) compare(m number) int {
	if n.large == nil && m.large == nil {
		switch {
		case n.small < m.small:
			return -1
		case n.small > m.small:
			return 1
		}
		return 0
	}
	return n.rat().Cmp(m.rat())
}

// follows reports whether n is m + 1.
func (n number) follows(m number) bool {
	if n.large == nil && m.large == nil {
		return n.small == m.small+1
	}
	return n.rat().Cmp(new(big.Rat).Add(m.rat(), big.NewRat(1, 1))) == 0
}

func (n number) rat() *big.Rat {
	if n.large != nil {
		return n.large
	}
	return new(big.Rat).SetInt64(n.small)
}
