package envelope

import (
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
	for _, name := range []string{"", ",", ":", "id", `a"b`, `a\b`, "é", "0", "Z", "a"} {
		f.Add([]byte(`{"a":"b",":x":1,"`+name+`":2,"id":"c"}`), name)
	}
	f.Fuzz(func(t *testing.T, data []byte, name string) {
		if !utf8.ValidString(name) {
			return
		}
		field := NewIDField(name)
		got, ok := field.Scan(data)
		if !json.Valid(data) || !utf8.Valid(data) {
			return
		}
		if want, wantOK := field.Find(data); string(got) != string(want) || ok != wantOK {
			t.Errorf("%q in %q: Scan finds %q, %v, and Find %q, %v", name, data, got, ok, want, wantOK)
		}
	})
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
