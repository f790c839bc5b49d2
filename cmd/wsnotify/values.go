package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Values of flags whose errors say what would be right. Those of package flag
// show what strconv and time call it.

// duration is a time with its unit. Below least, it is refused; off, if it is
// allowed, is a negative one.
type duration struct {
	at    *time.Duration
	least time.Duration
	off   bool
}

func (d duration) String() string {
	switch {
	case d.at == nil:
		return ""
	case d.off && *d.at < 0:
		return "off"
	}
	return d.at.String()
}
func (d duration) Type() string { return "time" }

func (d duration) Set(text string) error {
	if d.off && (text == "off" || text == "none") {
		*d.at = -1
		return nil
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		example := "5s, 500ms or 2m"
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			example = text + "s"
		}
		return fmt.Errorf("expected a time with its unit, such as %s", example)
	}
	if v < d.least && !(d.off && v < 0) {
		return fmt.Errorf("expected %v or more", d.least)
	}
	*d.at = v
	return nil
}

// count is a whole number, at least least.
type count struct {
	at    *int
	least int
	hint  string // what the least one means, if it means something
	like  string // what is expected, if it is not just a number
}

func (c count) String() string {
	if c.at == nil {
		return ""
	}
	return strconv.Itoa(*c.at)
}
func (c count) Type() string { return "int" }

func (c count) Set(text string) error {
	v, err := strconv.Atoi(text)
	if err != nil || v < c.least || v > math.MaxInt32 {
		hint := ""
		if c.hint != "" {
			hint = fmt.Sprintf(", or %d %s", c.least, c.hint)
		}
		like := c.like
		if like == "" {
			like = "a whole number such as 6"
		}
		return fmt.Errorf("expected %s%s", like, hint)
	}
	*c.at = v
	return nil
}

// size is a number of bytes, with K, M or G for 1024 of the one before.
type size struct{ at *int64 }

func (s size) String() string {
	if s.at == nil {
		return ""
	}
	return bytesText(*s.at)
}
func (s size) Type() string { return "size" }

func (s size) Set(text string) error {
	number, unit := strings.ToUpper(strings.TrimSpace(text)), int64(1)
	number = strings.TrimSuffix(strings.TrimSuffix(number, "B"), "I")
	for i, name := range []string{"K", "M", "G"} {
		if rest, ok := strings.CutSuffix(number, name); ok {
			number, unit = rest, 1<<(10*(i+1))
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	if err != nil || v < -1 || v == 0 || v > 1<<40/unit {
		return errors.New("expected a number of bytes such as 65536, 64K or 16M, or -1 for no limit")
	}
	*s.at = max(v*unit, -1)
	return nil
}

// bytesText shows a size as it can be typed.
func bytesText(n int64) string {
	for i, name := range []string{"G", "M", "K"} {
		if unit := int64(1) << (10 * (3 - i)); n >= unit && n%unit == 0 {
			return fmt.Sprint(n/unit, name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// choice is one of a few words.
type choice struct {
	at    *string
	words []string
}

func (c choice) String() string {
	if c.at == nil {
		return ""
	}
	return *c.at
}
func (c choice) Type() string { return "when" }

func (c choice) Set(text string) error {
	for _, word := range c.words {
		if text == word {
			*c.at = word
			return nil
		}
	}
	last := len(c.words) - 1
	return fmt.Errorf("expected %s or %s", strings.Join(c.words[:last], ", "), c.words[last])
}

// secret is a text that is never shown.
type secret struct{ at *string }

func (secret) String() string { return "" }
func (secret) Type() string   { return "string" }
func (s secret) Set(text string) error {
	*s.at = text
	return nil
}

var _ = []pflag.Value{duration{}, count{}, size{}, choice{}, secret{}}
