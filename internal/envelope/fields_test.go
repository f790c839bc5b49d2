package envelope

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"
)

// question is a message, and the names of what is looked for in it.
type question struct {
	Input   string `json:"input"`
	Type    string `json:"type"`
	Content string `json:"content"`
	ID      string `json:"id"`
}

// names are such that one may be taken for another.
var names = []string{
	"", " ", "a", "ab", "abc", "A", "msgType", "content", "id", "type", "payload", "t", "d", ".", "0", "-1", "null", `"`, `\`, `\\`, `a\b`, `\u0061`,
	`\n`, "\n", "\x00", "\x7f", "a\tb", "/", "é", "e\u0301", "类型", "类", "😀", "\ufeff", "\ufffd", "\u2028", "__proto__", "constructor", "hasOwnProperty",
	strings.Repeat("long", 20), strings.Repeat("long", 20) + "er",
}

// randomQuestions asks for random names, of messages that hold many like them.
func randomQuestions(seed uint64, n int) []question {
	r := rand.New(rand.NewPCG(seed, 17))
	questions := make([]question, n)
	for i := range questions {
		q := question{Type: pick(r, names), Content: pick(r, names), ID: pick(r, names)}
		if r.IntN(4) == 0 {
			q.Content = q.Type
		}
		if r.IntN(4) == 0 {
			q.ID = pick(r, []string{q.Type, q.Content})
		}
		q.Input = randomMessage(r, q)
		questions[i] = q
	}
	return questions
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func randomMessage(r *rand.Rand, q question) string {
	space := func() string { return pick(r, []string{"", "", "", " ", "\t\n", "\r"}) }
	var b strings.Builder
	b.WriteString(space() + "{")
	for i := range r.IntN(7) {
		if i > 0 {
			b.WriteString("," + space())
		}
		name := pick(r, []string{q.Type, q.Content, q.ID, q.Type, q.Content, q.ID, pick(r, names)})
		switch r.IntN(8) {
		case 0: // a prefix of it, or one that it is a prefix of
			runes := []rune(name)
			name = string(runes[:r.IntN(len(runes)+1)])
		case 1:
			name += pick(r, names)
		}
		key := spell(r, name)
		if r.IntN(30) == 0 {
			key = pick(r, []string{`"\ud800"`, `"\udc00x"`, `"\ufffd"`})
		}
		b.WriteString(key + space() + ":" + space() + randomValue(r, q) + space())
	}
	b.WriteString("}" + space())
	text := []rune(b.String())
	if r.IntN(8) == 0 { // broken, mostly
		i := r.IntN(len(text))
		text = append(text[:i], text[i+1:]...)
	}
	return string(text)
}

// randomValue is spelled as JSON.stringify does, so that it can be compared.
func randomValue(r *rand.Rand, q question) string {
	inner, _ := json.Marshal(map[string]any{q.Type: 1, q.Content: []any{}})
	nested := strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70)
	values := []string{
		"null", "true", "false", "0", "7", "-1", "0.5", `""`, `"text"`, `"7"`, `"0"`, "[]", "{}", `[0,""]`, `{"a":{"b":null}}`,
		spell(r, pick(r, names)), `"\ud800"`, `"\ud83d\ude00"`,
	}
	switch r.IntN(20) {
	case 0:
		return nested
	case 1:
		return string(inner)
	}
	return pick(r, values)
}

// spell is a JSON string, some characters of which are escape sequences.
func spell(r *rand.Rand, text string) string {
	often := r.IntN(3)
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		short := strings.IndexRune("\"\\/\b\f\n\r\t", c)
		switch {
		case short >= 0 && (c == '"' || c == '\\' || c < ' ' || often > 0) && r.IntN(2) == 0:
			b.WriteString([]string{`\"`, `\\`, `\/`, `\b`, `\f`, `\n`, `\r`, `\t`}[short])
		case c == '"' || c == '\\' || c < ' ' || r.IntN(4) < often:
			format := pick(r, []string{`\u%04x`, `\u%04X`})
			for _, unit := range utf16.Encode([]rune{c}) {
				fmt.Fprintf(&b, format, unit)
			}
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// checkFields compares with encoding/json, which takes half a surrogate pair for U+FFFD.
func checkFields(t *testing.T, q question) {
	t.Helper()
	data := []byte(q.Input)
	if strings.Contains(q.Type+q.Content+q.ID, "\ufffd") {
		return
	}
	wantType, wantContent, outcome := referenceFind(data, q.Type, q.Content)
	if q.Content == Whole {
		wantContent = member{raw: q.Input}
	}
	typ, content, err := NewFields(q.Type, q.Content).Find(data)
	if (err != nil) != (outcome == "error") {
		t.Errorf("%+q: error %v, want %s", q, err, outcome)
	}
	if err == nil && (string(typ) != wantType.raw || string(content) != wantContent.raw) {
		t.Errorf("%+q\n got %q, %q\nwant %q, %q", q, typ, content, wantType.raw, wantContent.raw)
	}
	wantID, _, _ := referenceFind(data, q.ID, "")
	id, ok := NewIDField(q.ID).Find(data)
	want := wantID.raw != "" && strings.Contains(`"-0123456789`, wantID.raw[:1])
	if ok != want || ok && string(id) != wantID.text {
		t.Errorf("%+q: the id is %q, %v, want %q, %v", q, id, ok, wantID.text, want)
	}
}

func TestFieldsOfAnyNameAreThoseOfEncodingJSON(t *testing.T) {
	for _, q := range randomQuestions(rand.Uint64(), 8_000) {
		checkFields(t, q)
		if t.Failed() {
			return
		}
	}
}

// value is one of fields.mjs's.
type value struct {
	Text   *string
	JSON   string
	Truthy bool
}

func TestFieldsOfAnyNameAreThoseOfNode(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed: what it makes of other names is not compared; golden.json still is")
	}
	questions := randomQuestions(rand.Uint64(), 8_000)
	var in bytes.Buffer
	for _, q := range questions {
		if err := json.NewEncoder(&in).Encode(q); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(node, "testdata/parse/fields.mjs")
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v", err)
	}
	answers := bufio.NewScanner(bytes.NewReader(out))
	answers.Buffer(nil, 1<<20)
	found := 0
	for _, q := range questions {
		var a struct {
			Error             string
			Type, Content, ID *value
		}
		if !answers.Scan() {
			t.Fatalf("node ended early: %v", answers.Err())
		}
		if err := json.Unmarshal(answers.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		data := []byte(q.Input)
		typ, content, err := NewFields(q.Type, q.Content).Find(data)
		if (err != nil) != (a.Error != "") {
			t.Fatalf("%+q: error %v, and in Node %q", q, err, a.Error)
		}
		compareWithNode(t, q, "type", typ, a.Type)
		if q.Content != Whole {
			compareWithNode(t, q, "content", content, a.Content)
		}
		id, ok := NewIDField(q.ID).Find(data)
		want := a.ID != nil && (a.ID.Text != nil || strings.Contains("-0123456789", a.ID.JSON[:1]))
		switch {
		case ok != want, ok && a.ID.Text != nil && string(id) != *a.ID.Text, ok && a.ID.Text == nil && string(id) != a.ID.JSON:
			t.Errorf("%+q: the id is %q, %v, and in Node %+v", q, id, ok, a.ID)
		}
		if a.Type != nil && a.Content != nil {
			found++
		}
		if t.Failed() {
			return
		}
	}
	if found < len(questions)/10 {
		t.Errorf("only %d of %d messages had both", found, len(questions))
	}
}

func compareWithNode(t *testing.T, q question, what string, raw []byte, want *value) {
	t.Helper()
	if (raw == nil) != (want == nil) {
		t.Errorf("%+q: the %s is %q, and in Node %+v", q, what, raw, want)
	}
	if raw == nil || want == nil {
		return
	}
	text, _ := Text(raw, nil)
	switch {
	case want.Text != nil && text != *want.Text,
		want.Text == nil && raw[0] != '{' && raw[0] != '[' && text != want.JSON,
		Truthy(raw) != want.Truthy:
		t.Errorf("%+q: the %s is %q, and in Node %+v", q, what, raw, want)
	}
}

func TestNamesThatLookLikeOthers(t *testing.T) {
	for _, test := range []struct{ name, key string }{
		{`a\b`, `"a\b"`},       // a backspace in JSON
		{`a\\b`, `"a\\b"`},     // one backslash in JSON
		{"\ufffd", `"\ud800"`}, // what encoding/json takes for it
		{"\ufffd", `"\udc00\ud800"`},
		{"", `" "`},
		{" ", `""`},
		{"ab", `"a"`},
		{"ab", `"a\u0062c"`},
		{"ab", `"\u0061"`},
		{"é", `"\u00c3\u00a9"`}, // its bytes
		{"😀", `"\ud83d"`},
		{"\x00", `"\\u0000"`},
	} {
		for _, more := range []string{"1", strings.Repeat("[", 100) + strings.Repeat("]", 100)} { // where encoding/json helps, too
			data := []byte(`{` + test.key + `:"x","y":` + more + `}`)
			if typ, content, err := NewFields(test.name, test.name).Find(data); typ != nil || content != nil || err != nil {
				t.Errorf("%s is taken for %q: %q %q %v", test.key, test.name, typ, content, err)
			}
		}
	}
}

func TestContentThatIsTheWholeMessage(t *testing.T) {
	for message, want := range map[string]string{
		` {"t":"a","d":1} `: `"a"`,
		`{"d":1}`:           "",
		`{".":1}`:           "",
		`["t"]`:             "",
	} {
		typ, content, err := NewFields("t", Whole).Find([]byte(message))
		if string(typ) != want || string(content) != message || err != nil {
			t.Errorf("%q: %q %q %v", message, typ, content, err)
		}
	}
	if _, _, err := NewFields("t", Whole).Find([]byte(`{"t":`)); err == nil {
		t.Error("half a message is no error")
	}
}

func TestFindingIDs(t *testing.T) {
	for message, want := range map[string]string{
		`{"id":7}`: "7", `{"id":"7"}`: "7", `{"id":-1.50e+3}`: "-1.50e+3", `{"id":0}`: "0", `{"id":""}`: "",
		`{"id":"a\"b\u0041\n"}`: "a\"bA\n", `{"i\u0064":"x"}`: "x", `{"id":1,"id":2}`: "2", "\n {\"x\":[{}],\"id\":\"y\"}\t": "y",
		`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"id":"deep"}`:                        "deep",
		`{"x":` + strings.Repeat("[", 100) + `"]}\"",{"]":"["}` + strings.Repeat("]", 100) + `,"id":"deeper"}`: "deeper",
		`{"id":null}`: "none", `{"id":true}`: "none", `{"id":[1]}`: "none", `{"id":{"id":1}}`: "none", `{"x":{"id":1}}`: "none", `[{"id":1}]`: "none",
		`{"id":1,"id":null}`: "none", `{"ID":1}`: "none", `{"id":1`: "none", `{"id":01}`: "none", `{"id":1}x`: "none", "": "none", "7": "none", `"id"`: "none",
	} {
		id, ok := NewIDField("id").Find([]byte(message))
		if ok != (want != "none") || ok && string(id) != want {
			t.Errorf("%s: %q, %v", message, id, ok)
		}
	}
}

func TestFindingAllocatesNothing(t *testing.T) {
	message := []byte(`{"\u0074ype":"order","payload":{"a":["b"]},"id":"a4711","类型":"x"}`)
	fields, id := NewFields("type", "payload"), NewIDField("id")
	chinese := NewFields("类型", Whole)
	got := testing.AllocsPerRun(100, func() {
		if typ, _, _ := fields.Find(message); typ == nil {
			t.Fatal("no type")
		}
		if typ, _, _ := chinese.Find(message); typ == nil {
			t.Fatal("no 类型")
		}
		if _, ok := id.Find(message); !ok {
			t.Fatal("no id")
		}
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func FuzzFields(f *testing.F) {
	for _, q := range randomQuestions(1, 100) {
		f.Add(q.Input, q.Type, q.Content, q.ID)
	}
	f.Fuzz(func(t *testing.T, input, typ, content, id string) {
		NewFields(typ, content).Find([]byte(input)) // must not panic, whatever they are
		NewIDField(id).Find([]byte(input))
		if utf8.ValidString(input + typ + content + id) {
			checkFields(t, question{input, typ, content, id})
		}
	})
}

// Other names of the same length must not cost more than the store's.
func BenchmarkFields(b *testing.B) {
	for _, names := range [][2]string{{"msgType", "content"}, {"message", "payload"}, {"类型1", "内容2"}} {
		for _, c := range parseMessages[:2] {
			data := []byte(strings.NewReplacer("msgType", names[0], "content", names[1]).Replace(c.message))
			fields := NewFields(names[0], names[1])
			b.Run(names[0]+"/"+c.name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(data)))
				for b.Loop() {
					if typ, content, err := fields.Find(data); typ == nil || content == nil || err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkIDField(b *testing.B) {
	data := []byte(parseMessages[0].message)
	id := NewIDField("id")
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, ok := id.Find(data); !ok {
			b.Fatal("no id")
		}
	}
}
