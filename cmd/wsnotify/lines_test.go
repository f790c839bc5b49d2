package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/wsnotify/wsnotify"
)

// A line of --max-line bytes is taken, whatever its end, and one of a byte more is refused; the next one is read.
func TestLinesOfAnInput(t *testing.T) {
	const long = "<too long>"
	for _, test := range []struct {
		frame framing
		in    string
		want  []string
	}{
		{framing{maxLine: 4}, "four\nfive5\nfour\r\nfive5\r\n\nend", []string{"four", long, "four", long, "", "end"}},
		{framing{maxLine: 4}, strings.Repeat("x", 9000) + "\nfour", []string{long, "four"}},
		{framing{maxLine: 9000}, strings.Repeat("x", 9000) + "\nfour\n", []string{strings.Repeat("x", 9000), "four", ""}},
		{framing{maxLine: 4, binary: true}, "abc\r\nab\n", []string{"abc\r", "ab", ""}},
		{framing{maxLine: 4, zero: true}, "a\nb\r\x00cd\x00", []string{"a\nb\r", "cd", ""}},
		{framing{maxLine: 4, whole: true}, "a\nb\n", []string{"a\nb\n"}},
		{framing{maxLine: 4, whole: true}, "a\nb\nc", []string{long}},
	} {
		in := bufio.NewReader(iotest.OneByteReader(strings.NewReader(test.in)))
		var got []string
		for {
			line, err := test.frame.next(in)
			if errors.Is(err, errTooLong) {
				got = append(got, long)
				if test.frame.whole {
					break
				}
				continue
			}
			got = append(got, line)
			if err != nil {
				if !errors.Is(err, io.EOF) {
					t.Error(err)
				}
				break
			}
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", test.want) {
			t.Errorf("%+v: %q becomes %q, want %q", test.frame, test.in, got, test.want)
		}
	}
}

func TestInputThatFails(t *testing.T) {
	for _, whole := range []bool{false, true} {
		frame := framing{maxLine: 4, whole: whole}
		_, err := frame.next(bufio.NewReader(iotest.ErrReader(io.ErrClosedPipe)))
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("whole %v: %v", whole, err)
		}
	}
}

// The byte that is no text is named; U+FFFD itself is text.
func TestDecodedLines(t *testing.T) {
	for _, test := range []struct {
		frame framing
		in    string
		want  string
		err   string
	}{
		{framing{}, "text \ufffd", "text \ufffd", ""},
		{framing{}, "ab\xff", "", "byte 3 is 0xff"},
		{framing{}, "\ufffd\xff", "", "byte 4 is 0xff"},
		{framing{binary: true}, "\xff", "\xff", ""},
		{framing{base64: true}, " eA== ", "x", ""},
		{framing{base64: true}, "!", "", "it is not base64"},
	} {
		got, err := test.frame.decode(test.in)
		if string(got) != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%+v: %q becomes %q, %v", test.frame, test.in, got, err)
		}
	}
}

func TestEncodedMessages(t *testing.T) {
	for _, test := range []struct {
		frame framing
		typ   wsnotify.MessageType
		want  string
	}{
		{framing{}, wsnotify.MessageText, "x\n"},
		{framing{zero: true}, wsnotify.MessageText, "x\x00"},
		{framing{base64: true}, wsnotify.MessageText, "x\n"},
		{framing{binary: true}, wsnotify.MessageText, "x\n"},
		{framing{}, wsnotify.MessageBinary, "x\n"},
		{framing{base64: true}, wsnotify.MessageBinary, "eA==\n"},
		{framing{base64: true, zero: true}, wsnotify.MessageBinary, "eA==\x00"},
		{framing{binary: true}, wsnotify.MessageBinary, "x"},
		{framing{binary: true, zero: true}, wsnotify.MessageBinary, "x\x00"},
	} {
		if got := test.frame.encode(wsnotify.Message{Type: test.typ, Data: []byte("x")}); string(got) != test.want {
			t.Errorf("%+v, type %d: %q, want %q", test.frame, test.typ, got, test.want)
		}
	}
}

func TestFramingFlagsThatExcludeEachOther(t *testing.T) {
	for _, test := range []struct {
		frame framing
		want  string
	}{
		{framing{}, ""},
		{framing{binary: true, whole: true}, ""},
		{framing{base64: true, zero: true}, ""},
		{framing{maxLine: -1}, "--max-line -1"},
		{framing{binary: true, base64: true}, "--binary and --base64"},
		{framing{whole: true, zero: true}, "--whole and --null"},
	} {
		if err := test.frame.check(); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test.frame, err)
		}
	}
}
