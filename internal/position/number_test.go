package position

import (
	"math/big"
	"strings"
	"testing"
)

func TestNumbersAreOrdered(t *testing.T) {
	ordered := []string{"-10", "-1.5", "-0.1", "0", "0.000001", "0.5", "1", "2", "9", "10", "999999999999999999",
		"1000000000000000000", "9223372036854775807", "9223372036854775808", "18446744073709551616", strings.Repeat("9", longest)}
	for i, a := range ordered {
		for j, b := range ordered {
			x, okX := parse(a)
			y, okY := parse(b)
			if !okX || !okY {
				t.Fatalf("%s or %s is no number", a, b)
			}
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := x.compare(y); got != want {
				t.Errorf("%s compared with %s is %d and not %d", a, b, got, want)
			}
		}
	}
	for _, same := range [][2]string{{"7", "007"}, {"1.0", "1"}, {"-0", "0"}, {"1000000000000000000", "01000000000000000000"}} {
		x, _ := parse(same[0])
		y, _ := parse(same[1])
		if x.compare(y) != 0 {
			t.Errorf("%s is not %s", same[0], same[1])
		}
	}
}

func TestFollows(t *testing.T) {
	for _, test := range []struct {
		next, before string
		want         bool
	}{
		{"1", "0", true}, {"2", "0", false}, {"0", "-1", true}, {"1", "1", false}, {"0", "1", false},
		{"1000000000000000000", "999999999999999999", true}, {"9223372036854775808", "9223372036854775807", true},
		{"18446744073709551617", "18446744073709551615", false}, {"1.5", "0.5", true}, {"1.5", "1", false},
	} {
		n, _ := parse(test.next)
		m, _ := parse(test.before)
		if n.follows(m) != test.want {
			t.Errorf("%s follows %s: %v", test.next, test.before, !test.want)
		}
	}
}

func TestWhatIsNoNumber(t *testing.T) {
	for _, s := range []string{"", "-", "+1", "1e3", "1E3", "0x1", "1_000", " 1", "1 ", ".5", "1.", "1..2", "--1", "NaN", "Inf", "1/2", "٣",
		strings.Repeat("9", longest+1)} {
		if _, ok := parse(s); ok {
			t.Errorf("%q is a number", s)
		}
	}
}

// A position is shown as it came, however it is kept.
func TestPlaces(t *testing.T) {
	for _, test := range []struct {
		position string
		small    bool
	}{
		{"0", true}, {"7", true}, {"10", true}, {"999999999999999999", true}, {"007", true}, {"00", false},
		{"1000000000000000000", false}, {"-1", false}, {"1.50", false}, {"18446744073709551616", false},
	} {
		n, ok := parse(test.position)
		if !ok || n.String() != test.position || (n.large == nil) != test.small {
			t.Errorf("%s is %q, large %v, %v", test.position, n.String(), n.large, ok)
		}
	}
	if got := (place{}).String(); got != "" {
		t.Errorf("no place is %q", got)
	}
}

// What package big makes of a number is what it is.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "999999999999999999", "1000000000000000000", "1e9"} {
		f.Add(s, "1")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, okX := parse(a)
		y, okY := parse(b)
		if !okX || !okY {
			return
		}
		if x.String() != a {
			t.Errorf("%q is shown as %q", a, x.String())
		}
		p, okP := new(big.Rat).SetString(a)
		q, okQ := new(big.Rat).SetString(b)
		if !okP || !okQ {
			t.Fatalf("%q or %q is a number, and is none to package big", a, b)
		}
		if x.compare(y) != p.Cmp(q) {
			t.Errorf("%q compared with %q is %d", a, b, x.compare(y))
		}
		if want := new(big.Rat).Sub(p, q).Cmp(big.NewRat(1, 1)) == 0; x.follows(y) != want {
			t.Errorf("%q follows %q: %v", a, b, !want)
		}
	})
}
