package envelope

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// What Scan finds in JSON is what Find finds.
func FuzzIDFieldScan(f *testing.F) {
	for _, seed := range []string{
		`{"seq":1}`, `{"a":{"seq":2},"seq":3}`, `{"seq":1,"seq":"2"}`, `["seq",{"seq":1}]`, `{"a":"seq","seq" : "x"}`,
		`{"s\u0065q":4}`, `{"a":"\"seq","seq":5}`, `{"seq":{"seq":6}}`, `{"seq":-1.5e3}`, `{"seq":null}`, `{"a":["{"],"seq":7}`, ` {"seq":8}`,
		`{"a\"seq":9}`, `{"a":{"seq":10}}`, `{"s\u0065q":4,"seq":11}`, `{"seq":1.12}`, `{"seq":1e13}`, `{"seq":-14}`, `{"a":":15}","seq":16}` + "\n",
		`{"a":"seq","b":["seq"],"seq":"}","c":"{"}`, `{"a":"12345678]","seq":17,"b":[]}`, `{"seq":18,"s\u0065q":19}`, `{"a":0:20}`, `[{"seq":21}]`,
		`{"seq":"`, `{"seq":-`, `{"a":"b,"seq":22}`, `{"a":"b","seq":23`, `{"seq":"24"`, `{"a":"b,"seq":25`,
	} {
		f.Add([]byte(seed), "seq")
	}
	f.Add([]byte(`{"a":"b",":1":2}`), ",") // what stands between two strings looks like the key
	f.Add([]byte(`{"a":":7","b":"c"}`), ":")
	f.Add([]byte(`{"a":5}`), `a\b`)
	for _, name := range []string{"", ",", ":", "id", `a"b`, `a\b`, "é", "0", "Z", "a"} {
		f.Add([]byte(`{"a":"b",":x":1,"`+name+`":2,"id":"c"}`), name)
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		if !utf8.ValidString(name) {
			return
		}
		field := NewIDField(name)
		got := field.Scan(data)
		if !json.Valid(data) || !utf8.Valid(data) {
			return
		}
		if want, _ := field.Find(data); string(got) != string(want) {
			t.Errorf("%q in %q: Scan finds %q, and Find %q", name, data, got, want)
		}
	})
}

// Scan finds the id of a message that Find refuses as it is no JSON, so it has found it without Find.
func TestScanNeedsNoFind(t *testing.T) {
	for data, want := range map[string]string{
		`{?,"seq":1234567890}`: "1234567890", `?"seq":0}`: "0", // as the last member
		`{"seq":1,?}`: "1", `{"seq":"",?}`: "", `{"seq":"x",?}`: "x", ` {"seq" : "]" ,? } `: "]", // as the first
		`{?,"seq":-1.5e3,"a":[]}`: "-1.5e3", `{"a":[?],"seq":0,"b":1}`: "0", `{"a":[?],"seq":9,"b":[]}`: "9", `{"a":"]}","b":[?],"seq":8,"c":[]}`: "8",
		`{"seq":"seq","b":?}`: "seq", `{"a":"qqq","seq":6,"b":?}`: "6", `{"a":"seq","seq":5,"b":?}`: "5",
	} {
		if _, ok := NewIDField("seq").Find([]byte(data)); ok {
			t.Errorf("%s is JSON", data)
		}
		if id := NewIDField("seq").Scan([]byte(data)); string(id) != want {
			t.Errorf("%s: the id is %q, expected %q", data, id, want)
		}
	}
}

// What is not the id of an object is none, in what is not JSON either.
func TestScanFindsNothingElse(t *testing.T) {
	for _, data := range []string{
		"", "7", "12}", "}", `"seq":7}`, `"seq":}`, `"seq"`, `{"seq"`, `{"seq":`, `{"seq":"`, `{"seq":-`, `{"a":1,?}`,
		`{?,"seq":}`, `{?,"seq":12`, `{?,"seq":12]`, `{?,"sex":12}`, `{?,"seq";12}`, `{?,\"seq":12}`, `{?"a":"seq"}`,
		`{"seq":1,"seq":2,?}`, `{"seq":null,?}`, `{"seq":[1],?}`, `{"seq":-,"a":1}`, `{"seq":.5,"a":1}`, `{"seq":/,"a":1}`, `{"seq"::,"a":1}`,
		`["seq":1,?]`, `?{"seq":"a"}`, `{"seq":"a"]`, `{"seq":"a"`, `{"seq":"a" ? `, `{"a":[{?,"seq":1}],"b":2}`, `{"a":"[?,"seq":1,"b":[{}]}`,
	} {
		if id := NewIDField("seq").Scan([]byte(data)); len(id) > 0 {
			t.Errorf("%s: the id is %q", data, id)
		}
	}
}

func TestHasBracket(t *testing.T) {
	check := func(text []byte) {
		if got := hasBracket(text); got != bytes.ContainsAny(text, "{}[]") {
			t.Fatalf("% x has a bracket: %v", text, got)
		}
	}
	for _, fill := range []byte{' ', 'z', '|', '~', 0x7f, 0x80, 0xfb} {
		for size := range 20 {
			text := bytes.Repeat([]byte{fill}, size)
			for i := range text {
				for c := range 256 {
					text[i] = byte(c)
					check(text)
				}
				text[i] = fill
			}
		}
	}
}

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, `"a":1,`: 0, `"a":{`: 1, `"a":[`: 1, `"a":[{"b":`: 2, `"a":[{}],`: 0, `"a":{},"b":{"c":[1,`: 2,
		`"{":1,`: 0, `"":[1,"]","}"],"b":[`: 1, `"a":[]]`: -1, `"a":["`: -1,
	} {
		if got := depth([]byte(text)); got != want {
			t.Errorf("%s is %d deep, expected %d", text, got, want)
		}
	}
}

func BenchmarkIDFieldScan(b *testing.B) {
	field := NewIDField("seq")
	for _, test := range []struct{ name, data string }{
		{"first", `{"seq":100000000,"msgType":"chat","content":"the engine weaves algebraic patterns just as the","sender":"ada"}`},
		{"second", `{"msgType":"chat","seq":100000000,"content":"the engine weaves algebraic patterns just as the","sender":"ada"}`},
		{"last", `{"msgType":"chat","content":"the engine weaves algebraic patterns just as the","sender":"ada","seq":100000000}`},
		{"nested", `{"msgType":"order","seq":123456,"content":{"from":"Charles","subject":"The engine","amount":42,"note":"aaaaaaaaaaaaaaaa"}}`},
		{"string", `{"msgType":"chat","content":"the engine weaves algebraic patterns just as the","sender":"ada","seq":"100000000"}`},
	} {
		data := []byte(test.data)
		b.Run(test.name, func(b *testing.B) {
			for b.Loop() {
				field.Scan(data)
			}
		})
		b.Run(test.name+"/find", func(b *testing.B) {
			for b.Loop() {
				field.Find(data)
			}
		})
	}
}
