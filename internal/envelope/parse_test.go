package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// parsedEnvelope is what parseEnvelope returned, in a form that can be compared.
type parsedEnvelope struct {
	msgType, content string
	outcome          string // found, missing or error, as in golden.json
}

func (p parsedEnvelope) String() string {
	return fmt.Sprintf("%s %q %q", p.outcome, p.msgType, p.content)
}

func newParsedEnvelope(msgType, content string, ok bool, err error) parsedEnvelope {
	p := parsedEnvelope{msgType, content, "missing"}
	switch {
	case err != nil && ok:
		p.outcome = "both found and error"
	case err != nil:
		p.outcome = "error"
	case ok:
		p.outcome = "found"
	}
	return p
}

// store are the fields of the browser store.
var store = NewFields("msgType", "content")

// referenceEnvelope is parseEnvelope without any thought of speed.
func referenceEnvelope(data []byte) parsedEnvelope {
	typ, content, outcome := referenceFind(data, "msgType", "content")
	if outcome == "" {
		outcome = "found"
		if !Truthy([]byte(typ.raw)) || !Truthy([]byte(content.raw)) {
			typ, content, outcome = member{}, member{}, "missing"
		}
	}
	return parsedEnvelope{typ.text, content.text, outcome}
}

// member is a value as it stands in the message, and what it says.
type member struct{ raw, text string }

// referenceFind finds two members with encoding/json. The outcome is "" for an object.
func referenceFind(data []byte, typName, contentName string) (typ, content member, outcome string) {
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return typ, content, "error"
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil || members == nil {
		return typ, content, "missing"
	}
	find := func(name string) member {
		raw, found := members[name]
		if !found {
			return member{}
		}
		text := string(raw)
		if raw[0] == '"' {
			if err := json.Unmarshal(raw, &text); err != nil {
				panic(err)
			}
		}
		return member{string(raw), text}
	}
	return find(typName), find(contentName), ""
}

// checkTruthy compares with a decoder of encoding/json.
func checkTruthy(t *testing.T, raw []byte) {
	t.Helper()
	var v any
	if len(raw) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&v); err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
	}
	if got, want := Truthy(raw), referenceTruthy(v); got != want {
		t.Errorf("%q is truthy: %v", raw, got)
	}
}

func referenceTruthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, _ := v.Float64()
		return f != 0
	}
	return true
}

type goldenEnvelope struct {
	Name, Input, Outcome, MsgType, Content string
}

// goldenEnvelopes are the cases of testdata/parse/generate.mjs with Node's answers.
func goldenEnvelopes(tb testing.TB) []goldenEnvelope {
	tb.Helper()
	data, err := os.ReadFile("testdata/parse/golden.json")
	if err != nil {
		tb.Fatal(err)
	}
	var cases []goldenEnvelope
	if err := json.Unmarshal(data, &cases); err != nil {
		tb.Fatal(err)
	}
	if len(cases) < 120 {
		tb.Fatalf("only %d cases", len(cases))
	}
	return cases
}

func TestParseEnvelopeDoesWhatJavaScriptDoes(t *testing.T) {
	for _, c := range goldenEnvelopes(t) {
		t.Run(c.Name, func(t *testing.T) {
			want := parsedEnvelope{c.MsgType, c.Content, c.Outcome}
			if got := newParsedEnvelope(parseEnvelope([]byte(c.Input))); got != want {
				t.Errorf("%q\n got %v\nwant %v", c.Input, got, want)
			}
			if got := referenceEnvelope([]byte(c.Input)); got != want {
				t.Errorf("the reference is wrong: %q\n got %v\nwant %v", c.Input, got, want)
			}
		})
	}
}

// Falling back would hide a fault of the scanner: the answer would still be right.
func TestEnvelopeScannerNeedsNoHelpWithJSON(t *testing.T) {
	for _, c := range goldenEnvelopes(t) {
		s := scanner{data: []byte(c.Input)}
		valid := s.document()
		if want := c.Outcome != "error"; valid != want && !strings.HasPrefix(c.Name, "nested") {
			t.Errorf("%s: %q: valid %v, want %v", c.Name, c.Input, valid, want)
		}
	}
}

func TestParseEnvelopeOnEveryPrefix(t *testing.T) {
	whole := `{"msgType":"a\n\ud83d\ude00","x":[{"y":[true,false,null,-1.5e+3]}],"content":{"z":"12345678"}}`
	for i := range whole {
		prefix := []byte(whole)[:i:i]
		var syntax *json.SyntaxError
		if _, _, ok, err := parseEnvelope(prefix); ok || !errors.As(err, &syntax) {
			t.Errorf("%q: %v, %v, want a *json.SyntaxError", prefix, ok, err)
		}
	}
}

// A scanner's faults are in what may follow what: -true, 1.null, [1,]. So every short
// sequence of tokens takes the place of a value.
func TestParseEnvelopeOnAllShortValues(t *testing.T) {
	tokens := []string{"{", "}", "[", "]", ",", ":", " ", "0", "1", "-", "+", ".", "e", "true", "null", `"msgType"`, `"`, `\`, "u00e9"}
	longest := 4
	if testing.Short() {
		longest = 3
	}
	var try func(value string, more int)
	try = func(value string, more int) {
		data := []byte(`{"msgType":"a","content":` + value + `}`)
		want := referenceEnvelope(data)
		if got := newParsedEnvelope(parseEnvelope(data)); got != want {
			t.Errorf("%q\n got %v\nwant %v", data, got, want)
		}
		s := scanner{data: data}
		if valid := s.document(); valid != (want.outcome != "error") {
			t.Errorf("%q: valid %v for the scanner, want %v", data, valid, want)
		}
		for _, token := range tokens {
			if more > 0 && !t.Failed() {
				try(value+token, more-1)
			}
		}
	}
	try("", longest)
}

func TestParseEnvelopeNesting(t *testing.T) {
	const limit = 10000
	nested := func(opening, closing string, depth int) string {
		return strings.Repeat(opening, depth-1) + "[]" + strings.Repeat(closing, depth-1)
	}
	depths := []int{1, 2, maxScanDepth - 2, maxScanDepth - 1, maxScanDepth, maxScanDepth + 1, limit - 1, limit, limit + 1, 100 * limit}
	for _, brackets := range [][2]string{{"[", "]"}, {`{"content":`, "}"}} {
		for _, depth := range depths {
			content := nested(brackets[0], brackets[1], depth)

			want := parsedEnvelope{"a", content, "found"}
			if depth+1 > limit {
				want = parsedEnvelope{outcome: "error"}
			}
			message := `{"msgType":"a","content":` + content + `}`
			if got := newParsedEnvelope(parseEnvelope([]byte(message))); got != want {
				t.Errorf("content of %d levels of %s: %s", depth, brackets[0], got.outcome)
			}

			want = parsedEnvelope{outcome: "missing"}
			if depth > limit {
				want = parsedEnvelope{outcome: "error"}
			}
			if got := newParsedEnvelope(parseEnvelope([]byte(content))); got != want {
				t.Errorf("%d levels of %s: %s", depth, brackets[0], got.outcome)
			}
		}
	}
}

func TestParseEnvelopeKeepsNoReference(t *testing.T) {
	for _, message := range []string{
		`{"msgType":"order","content":"shipped"}`,
		`{"msgType":"order","content":"ship\u0070ed"}`,
		`{"msgType":7,"content":{"a":1}}`,
		`{"msgType":"order","content":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`,
	} {
		data := []byte(message)
		msgType, content, _, _ := parseEnvelope(data)
		before := strings.Clone(msgType + "|" + content)
		clear(data)
		if after := msgType + "|" + content; after != before {
			t.Errorf("%q became %q", before, after)
		}
	}
}

func TestPlainLen(t *testing.T) {
	slow := func(b []byte) int {
		for i, c := range b {
			if c < ' ' || c == '"' || c == '\\' {
				return i
			}
		}
		return len(b)
	}
	check := func(b []byte) {
		if got, want := plainLen(b), slow(b); got != want {
			t.Fatalf("% x: %d, want %d", b, got, want)
		}
	}
	// Each byte at each place, with the neighbours that a borrow might cross.
	for _, fill := range []byte{' ', '!', '#', '[', ']', 0x7f, 0x80, 0xa0, 0xa2, 0xdc, 0xff} {
		for size := range 20 {
			b := bytes.Repeat([]byte{fill}, size)
			check(b)
			for i := range b {
				for c := range 256 {
					b[i] = byte(c)
					check(b)
					for _, next := range []byte{0, '"', '\\', 0x80} {
						if i+1 < size {
							b[i+1] = next
							check(b)
							b[i+1] = fill
						}
					}
				}
				b[i] = fill
			}
		}
	}
}

var parseMessages = []struct {
	name, message string
}{
	{"plain", `{"msgType":"order","content":"Your order 1234567 has been shipped and will arrive tomorrow","id":12345,"ts":1700000000}`},
	{"escapes", `{"msgType":"order","content":"Your \"order\"\n1234567 was shipped \u2014 arrives tomorrow","id":12345,"ts":1700000000}`},
	{"chinese", `{"msgType":"订单","content":"您的订单已发货，预计明天送达，请前往消息列表查看","id":12345,"ts":1700000000}`},
	{"chinese escaped", `{"msgType":"order","content":"` + strings.Repeat(`\u8ba2\u5355`, 50) + `","id":12345}`},
	{"object", `{"msgType":"order","content":{"id":1234567,"state":"shipped","items":[{"n":1},{"n":2}]},"ts":1700000000}`},
	{"4 KiB", `{"msgType":"order","content":"` + strings.Repeat("shipped ", 512) + `","id":12345}`},
}

func TestParseEnvelopeAllocations(t *testing.T) {
	check := func(name, message string, want float64) {
		data := []byte(message)
		if got := testing.AllocsPerRun(100, func() { _, _, _, _ = parseEnvelope(data) }); got > want {
			t.Errorf("%s: %v allocations, want at most %v", name, got, want)
		}
	}
	for _, c := range parseMessages {
		check(c.name, c.message, 1)
	}
	check("escaped keys", `{"\u006dsgType":"a","\u0063ontent":"b","\u8ba2\u5355":"c"}`, 1)
	check("no content", `{"msgType":"a","id":1}`, 0)
	check("not truthy", `{"msgType":"a","content":0.000}`, 0)
}

// StringText takes a JSON string that is all there is, and nothing else.
func TestStringTextTakesStringsAlone(t *testing.T) {
	for _, data := range []string{`"a`, `"a"b`, `"a" "b"`, "\"\xff\"", `"\x"`, `1`, ``} {
		if text, ok := StringText([]byte(data)); ok || text != "" {
			t.Errorf("%q says %q, %v", data, text, ok)
		}
	}
	if text, ok := StringText([]byte(`"a\n"`)); !ok || text != "a\n" {
		t.Errorf("%q, %v", text, ok)
	}
}

func BenchmarkParseEnvelope(b *testing.B) {
	for _, c := range parseMessages {
		data := []byte(c.message)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, _, ok, err := parseEnvelope(data); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
	for _, c := range parseMessages {
		if c.name == "object" {
			continue // no struct of strings takes it
		}
		data := []byte(c.message)
		b.Run("encoding json "+c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				var v struct{ MsgType, Content string }
				if err := json.Unmarshal(data, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func FuzzParseEnvelope(f *testing.F) {
	for _, c := range goldenEnvelopes(f) {
		f.Add([]byte(c.Input))
	}
	for _, c := range parseMessages {
		f.Add([]byte(c.message))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := newParsedEnvelope(parseEnvelope(data)) // must not panic, whatever data is
		s := scanner{data: data}
		scanned := s.document()
		if !utf8.Valid(data) {
			return // encoding/json repairs what our callers refuse
		}
		want := referenceEnvelope(data)
		if got != want {
			t.Errorf("%q\n got %v\nwant %v", data, got, want)
		}
		typ, content, _ := store.Find(data)
		checkTruthy(t, typ)
		checkTruthy(t, content)
		if scanned && want.outcome == "error" {
			t.Errorf("%q is not JSON", data)
		}
		if !scanned && want.outcome != "error" && bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) <= maxScanDepth {
			t.Errorf("%q needs no help from encoding/json", data)
		}
	})
}

// parseEnvelope is what a client does with a text message.
func parseEnvelope(data []byte) (msgType, content string, ok bool, err error) {
	rawType, rawContent, err := store.Find(data)
	if ok = Truthy(rawType) && Truthy(rawContent); ok {
		msgType, content = Text(rawType, rawContent)
	}
	return msgType, content, ok, err
}
