package main

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"github.com/wsnotify/wsnotify"
)

// framing holds the flags of how messages stand in a stream: one a line, if
// they say nothing else.
type framing struct {
	binary  bool
	base64  bool
	zero    bool
	whole   bool
	maxLine int64
}

func (o *framing) flags(f *pflag.FlagSet) {
	o.maxLine = 4 << 20
	f.BoolVar(&o.binary, "binary", false, "send binary messages")
	f.BoolVar(&o.base64, "base64", false, "send binary messages that are written in base64, and print such")
	f.BoolVarP(&o.zero, "null", "0", false, "messages end with a NUL, in and out, so that they may hold line ends")
	f.Var(size{&o.maxLine}, "max-line", "`size` of the longest line taken from the input")
}

// check says which flags don't go together.
func (o *framing) check() error {
	switch {
	case o.maxLine < 0:
		return usage("--max-line -1: expected a size such as 16M, since a line is kept in memory")
	case o.binary && o.base64:
		return usage("--binary and --base64 exclude each other: --base64 sends binary messages, too")
	case o.whole && o.zero:
		return usage("--whole and --null exclude each other")
	}
	return nil
}

// type_ is the type of the messages that are sent.
func (o *framing) messageType() wsnotify.MessageType {
	if o.binary || o.base64 {
		return wsnotify.MessageBinary
	}
	return wsnotify.MessageText
}

// decode makes the payload of a message from what stood in the input.
func (o *framing) decode(line string) ([]byte, error) {
	switch {
	case o.base64:
		data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			return nil, fmt.Errorf("it is not base64 (%w)", err)
		}
		return data, nil
	case !o.binary && !utf8.ValidString(line):
		i := 0
		for r, size := utf8.DecodeRuneInString(line); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRuneInString(line[i:]) {
			i += size // U+FFFD that was typed has three bytes
		}
		return nil, fmt.Errorf("it is not UTF-8 text: byte %d is 0x%02x; send such with --binary or --base64", i+1, line[i])
	}
	return []byte(line), nil
}

// encode makes of a message what stands in the output, its end included.
func (o *framing) encode(m wsnotify.Message) []byte {
	end := byte('\n')
	if o.zero {
		end = 0
	}
	data := m.Data
	if m.Type == wsnotify.MessageBinary {
		switch {
		case o.base64:
			data = base64.StdEncoding.AppendEncode(nil, data)
		case o.binary && !o.zero:
			return data // as it came: a line end would belong to nobody
		}
	}
	return append(data[:len(data):len(data)], end)
}

// errTooLong is a line over --max-line. What follows it can be read.
var errTooLong = errors.New("the line is too long")

// next returns a message of the input without its end, and io.EOF with or
// after the last.
func (o *framing) next(in *bufio.Reader) (string, error) {
	if o.whole {
		data, err := io.ReadAll(io.LimitReader(in, o.maxLine+1))
		switch {
		case err != nil:
			return "", err
		case int64(len(data)) > o.maxLine:
			return "", errTooLong
		}
		return string(data), io.EOF
	}
	end := byte('\n')
	if o.zero {
		end = 0
	}
	var b strings.Builder
	long := false
	for {
		part, err := in.ReadSlice(end)
		switch {
		case long:
		case int64(b.Len()+len(part)) > o.maxLine+2: // with its end
			long = true
		default:
			b.Write(part)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		line := strings.TrimSuffix(b.String(), string(end))
		if !o.zero && !o.binary {
			line = strings.TrimSuffix(line, "\r")
		}
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			return "", err
		case long || int64(len(line)) > o.maxLine:
			return "", errTooLong
		}
		return line, err
	}
}
