package envelope

import (
	"encoding/json"
	"testing"
)

// What Scan finds in JSON is what Find finds.
func FuzzIDFieldScan(f *testing.F) {
	for _, seed := range []string{
		`{"seq":1}`, `{"a":{"seq":2},"seq":3}`, `{"seq":1,"seq":"2"}`, `["seq",{"seq":1}]`, `{"a":"seq","seq" : "x"}`,
		`{"s\u0065q":4}`, `{"a":"\"seq","seq":5}`, `{"seq":{"seq":6}}`, `{"seq":-1.5e3}`, `{"seq":null}`, `{"a":["{"],"seq":7}`, ` {"seq":8}`,
	} {
		f.Add([]byte(seed))
	}
	field := NewIDField("seq")
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := field.Scan(data)
		if !json.Valid(data) {
			return
		}
		if want, wantOK := field.Find(data); string(got) != string(want) || ok != wantOK {
			t.Errorf("%q: Scan finds %q, %v, and Find %q, %v", data, got, ok, want, wantOK)
		}
	})
}

func BenchmarkIDFieldScan(b *testing.B) {
	field := NewIDField("seq")
	data := []byte(`{"msgType":"order","seq":123456,"content":{"from":"Charles","subject":"The engine","amount":42,"note":"aaaaaaaaaaaaaaaa"}}`)
	flat := []byte(`{"msgType":"chat","content":"the engine weaves algebraic patterns just as the","sender":"ada","seq":100000000}`)
	b.Run("scan flat", func(b *testing.B) {
		for b.Loop() {
			field.Scan(flat)
		}
	})
	b.Run("find flat", func(b *testing.B) {
		for b.Loop() {
			field.Find(flat)
		}
	})
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			field.Scan(data)
		}
	})
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			field.Find(data)
		}
	})
}
