package conformance

import (
	"fmt"
	"strings"
)

// Text is UTF-8, RFC 6455, sections 5.6 and 8.1 and RFC 3629. The client
// looks at a message once it is whole, so that what is wrong in the first
// fragment is answered after the last: a connection that is going to be lost
// is lost later, by at most ReadLimit bytes, and nothing of it is delivered.
func utf8Cases() (cases []conformanceCase) {
	const cosmos = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // κόσμε
	const surrogate = cosmos + "\xed\xa0\x80edited"
	add := func(chapter int, valid bool, messages ...string) {
		for i, s := range messages {
			id := fmt.Sprintf("6.%d.%d", chapter, i+1)
			if valid {
				cases = append(cases, whole(id, list(text(s)), s))
			} else {
				cases = append(cases, broken(id, 1007, list(text(s))))
			}
		}
	}
	octets := func(s string) (parts []string) { return strings.Split(latin(s), "") }

	cases = append(cases,
		whole("6.1.1", list(text("")), ""),
		whole("6.1.2", fragments(1, "", "", ""), ""),
		whole("6.1.3", fragments(1, "", "middle frame payload", ""), "middle frame payload"),
		whole("6.2.1", list(text("Hello-µ@ßöäüàá-UTF-8!!")), "Hello-µ@ßöäüàá-UTF-8!!"),
		whole("6.2.2", fragments(1, "Hello-µ@ßöä", "üàá-UTF-8!!"), "Hello-µ@ßöäüàá-UTF-8!!"),
		whole("6.2.3", fragments(1, raw(octets("Hello-µ@ßöäüàá-UTF-8!!"))...), "Hello-µ@ßöäüàá-UTF-8!!"),
		whole("6.2.4", fragments(1, raw(octets(cosmos))...), cosmos),
		broken("6.3.1", 1007, list(text(surrogate))),
		broken("6.3.2", 1007, fragments(1, raw(octets(surrogate))...)),
		broken("6.4.1", 1007, fragments(1, cosmos, "\xf4\x90\x80\x80", "edited")),
		broken("6.4.2", 1007, fragments(1, cosmos+"\xf4", "\x90", "\x80\x80edited")),
		broken("6.4.3", 1007, list(text(cosmos+"\xf4\x90\x80\x80edited"))),
		broken("6.4.4", 1007, list(text(cosmos+"\xf4\x90\x80\x80edited"))),
	)
	cases[len(cases)-2].chop, cases[len(cases)-1].chop = 13, 1

	add(5, true, cosmos, "κ", "κό", "κόσ", "κόσμ")
	for i := range len(cosmos) { // every part of it from the start
		s := cosmos[:i+1]
		id := fmt.Sprintf("6.6.%d", i+1)
		switch i + 1 {
		case 2, 5, 7, 9, 11:
			cases = append(cases, whole(id, list(text(s)), s))
		default:
			cases = append(cases, broken(id, 1007, list(text(s))))
		}
	}
	add(7, true, "\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80")
	add(8, false, "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80")
	add(9, true, "\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf")
	add(10, false, "\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf")
	add(11, true, "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbe")
	cases = append(cases, broken("6.11.5", 1007, list(text("\xf4\x90\x80\x80"))))
	continuations := span(0x80, 0xbf)
	add(12, false, "\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80",
		"\x80\xbf\x80\xbf\x80\xbf", continuations)
	spaced := func(from, to byte) string { return strings.Join(raw(octets(span(from, to))), " ") + " " }
	add(13, false, spaced(0xc0, 0xdf), spaced(0xe0, 0xef), spaced(0xf0, 0xf7), spaced(0xf8, 0xfb), spaced(0xfc, 0xfd))
	incomplete := []string{
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
	}
	add(14, false, incomplete...)
	add(15, false, strings.Join(incomplete, ""))
	add(16, false, "\xfe", "\xff", "\xfe\xfe\xff\xff")
	add(17, false, "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf")
	add(18, false, "\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf")
	add(19, false, "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80")
	high, low := []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf"}, []string{"\xed\xb0\x80", "\xed\xbf\xbf"}
	add(20, false, append(append([]string{}, high...), low[0], "\xed\xbe\x80", low[1])...)
	var pairs []string
	for _, h := range high {
		for _, l := range low {
			pairs = append(pairs, h+l)
		}
	}
	add(21, false, pairs...)
	var none []string // what is no character is UTF-8 all the same
	for plane := range rune(17) {
		none = append(none, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	add(22, true, none...)
	add(23, true, "\ufff9", "\ufffa", "\ufffb", "\ufffc", "\ufffd", "\ufffe", "\uffff")
	return cases
}

// span holds the octets from one to another.
func span(from, to byte) string {
	var b []byte
	for c := int(from); c <= int(to); c++ {
		b = append(b, byte(c))
	}
	return string(b)
}

// latin makes a character of each octet, and raw undoes it, so that strings
// can be split between octets.
func latin(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

func raw(parts []string) (out []string) {
	for _, part := range parts {
		var b []byte
		for _, r := range part {
			b = append(b, byte(r))
		}
		out = append(out, string(b))
	}
	return out
}
