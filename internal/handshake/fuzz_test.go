package handshake

import (
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// FuzzRetryAfter compares with numbers of any size, and with what net/http
// takes for a date.
func FuzzRetryAfter(f *testing.F) {
	for _, value := range []string{
		"", "0", "7", " 7 ", "007", "10", "299", "300", "301", "9999999999", "-1", "+1", "1.5", "7s", "١", "99999999999999999999", "\t7",
		"Sat, 01 Jan 2000 00:00:30 GMT", "Saturday, 01-Jan-00 00:00:30 GMT", "Sat Jan  1 00:00:30 2000",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Sat, 01 Jan 2000 00:00:30 CET",
	} {
		for _, status := range []int{429, 503, 500} {
			f.Add(value, status)
		}
	}
	f.Fuzz(func(t *testing.T, value string, status int) {
		now := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		got := RetryAfter(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {value}}}, now)
		want := time.Duration(0)
		trimmed := strings.TrimSpace(value)
		if at, err := http.ParseTime(trimmed); err == nil {
			want = time.Duration(at.Sub(now))
		}
		if isNumber(trimmed) {
			n, _ := new(big.Int).SetString(trimmed, 10)
			want = maxRetryAfter
			if n.Cmp(big.NewInt(300)) < 0 {
				want = time.Duration(n.Int64()) * time.Second
			}
		}
		want = min(max(want, 0), 5*time.Minute)
		if got != want {
			t.Errorf("%d %q gives %v and not %v", status, value, got, want)
		}
	})
}

func isNumber(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}

// FuzzPrintable holds what stands in errors: nothing that a terminal would
// obey, bounded, and all of it if it is harmless and short.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{
		"", "harmless: κόσμε", "\x1b[31m", "a\r\nlevel=ERROR", "\xff\xfe", "\u202egnp.exe", "\u2028", "�", strings.Repeat("x", 600), strings.Repeat("\x00", 600),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		if !utf8.ValidString(got) || len(got) > maxShown+16 {
			t.Errorf("%q", got)
		}
		harmless := len(s) <= maxShown && utf8.ValidString(s)
		for _, r := range s {
			harmless = harmless && (r == ' ' || unicode.IsGraphic(r) && !unicode.IsSpace(r))
		}
		for _, r := range got {
			if r != ' ' && (!unicode.IsGraphic(r) || unicode.IsSpace(r)) {
				t.Errorf("%q shows %q", s, r)
			}
		}
		if harmless && got != s {
			t.Errorf("%q is shown as %q", s, got)
		}
	})
}
