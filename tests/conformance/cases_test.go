package conformance

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// What cases are made of.
var (
	frame      = harness.FrameOf
	text       = harness.Text
	binaryOf   = harness.Binary
	ping       = harness.Ping
	pong       = harness.Pong
	closeFrame = harness.CloseFrame
	reserved   = harness.Reserved
	fragments  = harness.Fragments
)

func messageOf(typ wsnotify.MessageType, texts ...string) (list []wsnotify.Message) {
	for _, s := range texts {
		list = append(list, wsnotify.Message{Type: typ, Data: []byte(s)})
	}
	return list
}

func texts(list ...string) []wsnotify.Message { return messageOf(wsnotify.MessageText, list...) }

func list(frames ...[]byte) [][]byte { return frames }

// broken is a case that must end with a close code for a violation.
func broken(id string, code wsnotify.StatusCode, frames [][]byte, deliver ...string) conformanceCase {
	return conformanceCase{id: id, frames: frames, deliver: texts(deliver...), code: code, violation: true}
}

// whole is a case in which everything must come back.
func whole(id string, frames [][]byte, deliver ...string) conformanceCase {
	return conformanceCase{id: id, frames: frames, deliver: texts(deliver...)}
}

func conformanceCases() []conformanceCase {
	var all []conformanceCase
	for _, chapter := range [][]conformanceCase{
		sizeCases(), pingCases(), reservedCases(), opcodeCases(), fragmentCases(),
		utf8Cases(), closeCases(), largeCases(), compressionCases(), lengthCases(), maskCases(),
	} {
		all = append(all, chapter...)
	}
	return all
}

// RFC 6455, sections 5.2 and 5.6: every form of a length, at its ends.
func sizeCases() (cases []conformanceCase) {
	for chapter, typ := range []wsnotify.MessageType{wsnotify.MessageText, wsnotify.MessageBinary} {
		for i, size := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			fill := "*"
			if typ == wsnotify.MessageBinary {
				fill = "\xfe"
			}
			data := strings.Repeat(fill, size)
			c := conformanceCase{
				id:     fmt.Sprintf("1.%d.%d", chapter+1, i+1),
				frames: list(frame(true, byte(typ), data)), deliver: messageOf(typ, data),
			}
			if i == 7 {
				c.chop = 997
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// Sections 5.5.2 and 5.5.3.
func pingCases() []conformanceCase {
	longest := strings.Repeat("\xfe", 125)
	var ten [][]byte
	var payloads []string
	for i := range 10 {
		payloads = append(payloads, fmt.Sprintf("payload-%d", i))
		ten = append(ten, ping(payloads[i]))
	}
	return []conformanceCase{
		{id: "2.1", frames: list(ping("")), pings: []string{""}},
		{id: "2.2", frames: list(ping("Hello, world!")), pings: []string{"Hello, world!"}},
		{id: "2.3", frames: list(ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), pings: []string{"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"}},
		{id: "2.4", frames: list(ping(longest)), pings: []string{longest}},
		broken("2.5", 1002, list(ping(longest+"\xfe"))),
		{id: "2.6", frames: list(ping(longest)), pings: []string{longest}, chop: 1},
		{id: "2.7", frames: list(pong(""))},
		{id: "2.8", frames: list(pong("unsolicited pong payload"))},
		{id: "2.9", frames: list(pong("unsolicited pong payload"), ping("ping payload")), pings: []string{"ping payload"}},
		{id: "2.10", frames: ten, pings: payloads},
		{id: "2.11", frames: ten, pings: payloads, chop: 1},
	}
}

// Section 5.2: no reserved bit without an extension.
func reservedCases() (cases []conformanceCase) {
	hello := text("Hello, world!")
	for i, frames := range [][][]byte{
		list(reserved(1, hello)),
		list(hello, reserved(2, hello), ping("")),
		list(hello, reserved(3, hello), ping("")),
		list(hello, reserved(4, hello), ping("")),
		list(reserved(5, binaryOf("\x00\xff"))),
		list(reserved(6, ping("Hello"))),
		list(reserved(7, closeFrame(1000, ""))),
	} {
		c := broken(fmt.Sprintf("3.%d", i+1), 1002, frames)
		if len(frames) > 1 {
			c.deliver = texts("Hello, world!")
		}
		cases = append(cases, c)
	}
	return cases
}

// Section 5.2: opcodes 3 to 7 and 11 to 15 are reserved.
func opcodeCases() (cases []conformanceCase) {
	for chapter, first := range []byte{3, 11} {
		for i := range byte(5) {
			payload := ""
			if i > 0 {
				payload = "reserved opcode payload"
			}
			c := broken(fmt.Sprintf("4.%d.%d", chapter+1, i+1), 1002, list(frame(true, first+i, payload)))
			if i >= 2 {
				c.frames = list(text("before"), c.frames[0], ping(""))
				c.deliver = texts("before")
			}
			cases = append(cases, c)
		}
	}
	return cases
}

// Section 5.4.
func fragmentCases() []conformanceCase {
	two := fragments(1, "fragment1", "fragment2")
	between := list(two[0], ping("ping payload"), two[1])
	nothing := func(fin bool) [][]byte { return list(frame(fin, 0, "non-continuation"), text("Hello, world!")) }
	pinged := func(id string, chop int) conformanceCase {
		return conformanceCase{id: id, frames: between, deliver: texts("fragment1fragment2"), pings: []string{"ping payload"}, chop: chop}
	}
	five := list(frame(false, 1, "f1"), frame(false, 0, "f2"), ping("p1"), frame(false, 0, "f3"), frame(false, 0, "f4"), ping("p2"), frame(true, 0, "f5"))
	chopped := func(c conformanceCase, size int) conformanceCase { c.chop = size; return c }
	cases := []conformanceCase{
		broken("5.1", 1002, fragments(9, "fragment1", "fragment2")),
		broken("5.2", 1002, fragments(10, "fragment1", "fragment2")),
		whole("5.3", two, "fragment1fragment2"),
		chopped(whole("5.4", two, "fragment1fragment2"), 11),
		chopped(whole("5.5", two, "fragment1fragment2"), 1),
		pinged("5.6", 0), pinged("5.7", 11), pinged("5.8", 1),
		broken("5.9", 1002, nothing(true)),
		chopped(broken("5.10", 1002, nothing(true)), 18),
		chopped(broken("5.11", 1002, nothing(true)), 1),
		broken("5.12", 1002, nothing(false)),
		chopped(broken("5.13", 1002, nothing(false)), 18),
		chopped(broken("5.14", 1002, nothing(false)), 1),
		broken("5.15", 1002, append(bytes2(two), nothing(false)...), "fragment1fragment2"),
		broken("5.16", 1002, append(list(frame(false, 0, "c")), append(bytes2(two), two...)...)),
		broken("5.17", 1002, append(list(frame(true, 0, "c")), append(bytes2(two), two...)...)),
		broken("5.18", 1002, list(frame(false, 1, "fragment1"), frame(true, 1, "fragment2"))),
		{id: "5.19", frames: five, deliver: texts("f1f2f3f4f5"), pings: []string{"p1", "p2"}},
		{id: "5.20", frames: five, deliver: texts("f1f2f3f4f5"), pings: []string{"p1", "p2"}, chop: 1},
	}
	return cases
}

func bytes2(frames [][]byte) [][]byte { return append([][]byte{}, frames...) }

// Sections 5.5.1 and 7.
func closeCases() []conformanceCase {
	closing := func(id string, code wsnotify.StatusCode, reason string, frames [][]byte, deliver ...string) conformanceCase {
		return conformanceCase{id: id, frames: frames, deliver: texts(deliver...), code: code, reason: reason, closes: true}
	}
	bye, empty := closeFrame(1000, ""), frame(true, 8, "")
	long := strings.Repeat("*", 256<<10)
	cases := []conformanceCase{
		closing("7.1.1", 1000, "", list(text("Hello"), bye), "Hello"),
		closing("7.1.2", 1000, "", list(bye, closeFrame(1001, ""))),
		closing("7.1.3", 1000, "", list(bye, ping("late"))),
		closing("7.1.4", 1000, "", list(bye, text("late"))),
		closing("7.1.5", 1000, "", list(frame(false, 1, "fragment1"), bye, frame(true, 0, "fragment2"))),
		closing("7.1.6", 1000, "", list(text(long), text("Hello"), bye, ping("late")), long, "Hello"),
		closing("7.3.1", 1005, "", list(empty)),
		broken("7.3.2", 1002, list(frame(true, 8, "a"))),
		closing("7.3.3", 1000, "", list(bye)),
		closing("7.3.4", 1000, "Hello, world!", list(closeFrame(1000, "Hello, world!"))),
		closing("7.3.5", 1000, strings.Repeat("*", 123), list(closeFrame(1000, strings.Repeat("*", 123)))),
		broken("7.3.6", 1002, list(closeFrame(1000, strings.Repeat("*", 124)))),
		broken("7.5.2", 1007, list(closeFrame(1000, "half a character: \xce"))),
		broken("7.5.1", 1007, list(closeFrame(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"))),
	}
	for i, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, closing(fmt.Sprintf("7.7.%d", i+1), wsnotify.StatusCode(code), "", list(closeFrame(code, ""))))
	}
	for i, code := range []int{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		cases = append(cases, broken(fmt.Sprintf("7.9.%d", i+1), 1002, list(closeFrame(code, ""))))
	}
	for i, code := range []int{5000, 65535} {
		cases = append(cases, broken(fmt.Sprintf("7.13.%d", i+1), 1002, list(closeFrame(code, ""))))
	}
	return cases
}

// Large messages, many fragments and many messages.
func largeCases() (cases []conformanceCase) {
	scale := 1
	if harness.UnderRace {
		scale = 64
	}
	const kib, mib = 1 << 10, 1 << 20
	both := func(chapter int, add func(chapter int, typ wsnotify.MessageType, fill string)) {
		add(chapter, wsnotify.MessageText, "x")
		add(chapter+1, wsnotify.MessageBinary, "\xfe")
	}
	both(1, func(chapter int, typ wsnotify.MessageType, fill string) {
		for i, size := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib} {
			data := strings.Repeat(fill, size/scale)
			cases = append(cases, conformanceCase{
				id: fmt.Sprintf("9.%d.%d", chapter, i+1), frames: list(frame(true, byte(typ), data)), deliver: messageOf(typ, data), chop: 64 * kib,
			})
		}
	})
	both(3, func(chapter int, typ wsnotify.MessageType, fill string) {
		data := strings.Repeat(fill, 4*mib/scale)
		for i := range 9 {
			var parts []string
			for rest, size := data, 64<<(2*i); len(rest) > 0; {
				n := min(size, len(rest))
				parts, rest = append(parts, rest[:n]), rest[n:]
			}
			cases = append(cases, conformanceCase{
				id: fmt.Sprintf("9.%d.%d", chapter, i+1), frames: fragments(byte(typ), parts...), deliver: messageOf(typ, data), chop: 64 * kib,
			})
		}
	})
	both(5, func(chapter int, typ wsnotify.MessageType, fill string) {
		data := strings.Repeat(fill, mib/scale)
		for i := range 6 {
			cases = append(cases, conformanceCase{
				id: fmt.Sprintf("9.%d.%d", chapter, i+1), frames: list(frame(true, byte(typ), data)), deliver: messageOf(typ, data), chop: 64 << i,
			})
		}
	})
	both(7, func(chapter int, typ wsnotify.MessageType, fill string) {
		for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
			c := conformanceCase{id: fmt.Sprintf("9.%d.%d", chapter, i+1), chop: 64 * kib}
			for range 1000 / min(scale, 10) {
				c.frames = append(c.frames, frame(true, byte(typ), strings.Repeat(fill, size)))
				c.deliver = append(c.deliver, messageOf(typ, strings.Repeat(fill, size))...)
			}
			cases = append(cases, c)
		}
	})
	var parts []string
	data := strings.Repeat("*", 65536)
	for rest := data; len(rest) > 0; {
		n := min(1300, len(rest))
		parts, rest = append(parts, rest[:n]), rest[n:]
	}
	return append(cases, whole("10.1.1", fragments(1, parts...), data))
}

// RFC 7692: sizes with permessage-deflate, and the answers to the offer.
func compressionCases() (cases []conformanceCase) {
	sizes := []int{16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536}
	for i := range 18 {
		extension := "permessage-deflate"
		if i < 9 {
			extension += "; server_no_context_takeover; client_no_context_takeover"
		}
		cases = append(cases, compressed(fmt.Sprintf("12.1.%d", i+1), extension, sizes[i%9], i%2 == 1))
	}
	for i, params := range []string{
		"", "; server_no_context_takeover", "; client_no_context_takeover",
		"; server_no_context_takeover; client_no_context_takeover",
		"; server_max_window_bits=15", "; server_max_window_bits=9",
	} {
		for j, size := range []int{64, 4096} {
			cases = append(cases, compressed(fmt.Sprintf("13.%d.%d", i+1, j+1), "permessage-deflate"+params, size, j == 0))
		}
	}
	return cases
}

// compressed is a case of four messages, each in one frame or in two. The
// client offers to keep its windows; the extension says who does.
func compressed(id, extension string, size int, split bool) conformanceCase {
	c := conformanceCase{
		id: id, extension: extension, compression: wsnotify.CompressionContextTakeover,
		takeover: !strings.Contains(extension, "client_no_context_takeover"),
	}
	var out bytes.Buffer
	level := 6
	if strings.Contains(extension, "=9") {
		level = flate.HuffmanOnly // has no matches, and so needs no window
	}
	w, _ := flate.NewWriter(&out, level)
	for i := range 4 {
		data := strings.Repeat(fmt.Sprintf(`{"n":%d}`, i), size/7+1)[:size]
		if strings.Contains(extension, "server_no_context_takeover") {
			w.Reset(&out)
		}
		w.Write([]byte(data))
		w.Flush()
		deflated := strings.TrimSuffix(out.String(), "\x00\x00\xff\xff")
		out.Reset()
		frames := list(text(deflated))
		if split {
			frames = fragments(1, deflated[:len(deflated)/2], deflated[len(deflated)/2:])
		}
		frames[0] = reserved(4, frames[0])
		c.frames = append(c.frames, frames...)
		c.deliver = append(c.deliver, texts(data)...)
	}
	return c
}

// Section 5.2: a length has its shortest form and its first bit is 0.
func lengthCases() (cases []conformanceCase) {
	long := func(opcode byte, form byte, size uint64, payload string) []byte {
		b := []byte{0x80 | opcode, form}
		if form == 126 {
			b = binary.BigEndian.AppendUint16(b, uint16(size))
		} else {
			b = binary.BigEndian.AppendUint64(b, size)
		}
		return append(b, payload...)
	}
	hundred := strings.Repeat("x", 100)
	for i, frames := range [][][]byte{
		list(long(1, 126, 0, "")),
		list(long(1, 126, 100, hundred)),
		list(long(1, 126, 125, hundred+hundred[:25])),
		list(long(1, 127, 0, "")),
		list(long(1, 127, 100, hundred)),
		list(long(1, 127, 65535, strings.Repeat("x", 65535))),
		list(long(2, 126, 100, hundred)),
		list(frame(false, 1, "a"), long(0, 126, 1, "b")),
		list(long(9, 126, 5, "hello")),
		list(long(8, 126, 2, "\x03\xe8")),
		list(long(1, 127, 1<<63, "")),
		list(long(2, 127, 1<<64-1, "")),
		list(frame(false, 2, "a"), long(0, 127, 1<<63|1, "")),
	} {
		cases = append(cases, broken(fmt.Sprintf("L.1.%d", i+1), 1002, frames))
	}
	return append(cases, broken("L.2.1", 1009, list(long(2, 127, 1<<63-1, ""))))
}

// Section 5.1: a server must not mask.
func maskCases() []conformanceCase {
	mask := func(frame []byte) []byte {
		b := append([]byte{frame[0], frame[1] | 0x80}, 1, 2, 3, 4)
		for i, c := range frame[2:] {
			b = append(b, c^byte(i%4+1))
		}
		return b
	}
	return []conformanceCase{
		broken("M.1.1", 1002, list(text("before"), mask(text("masked"))), "before"),
		broken("M.1.2", 1002, list(mask(ping("masked")))),
		broken("M.1.3", 1002, list(mask(closeFrame(1000, "")))),
	}
}
