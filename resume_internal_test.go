package wsnotify

import "testing"

// A client knows the field of a function that PositionField has made, wherever that was called, and of no
// other function.
func TestFieldOfPositionField(t *testing.T) {
	bySeq, byID := PositionField("seq"), PositionField("id")
	data := []byte(`{"seq":7,"id":"x"}`)
	for _, test := range []struct {
		name     string
		position func(Message) (stream, position string)
		want     string
	}{
		{"seq", bySeq, "7"},
		{"id", byID, "x"},
		{"in place", PositionField("seq"), "7"},
		{"wrapped", func(m Message) (stream, position string) { return bySeq(m) }, ""},
		{"another function", func(Message) (stream, position string) { return "", "1" }, ""},
	} {
		field := fieldOf(test.position)
		if (field != nil) != (test.want != "") {
			t.Errorf("%s: field %v", test.name, field)
			continue
		}
		if field == nil {
			continue
		}
		if at := field.Scan(data); string(at) != test.want {
			t.Errorf("%s: position %q, not %q", test.name, at, test.want)
		}
	}
	if stream, position := bySeq(Message{Type: MessageBinary, Data: data}); stream != "" || position != "" {
		t.Errorf("a binary message has position %q of stream %q", position, stream)
	}
	if stream, position := bySeq(Message{Type: MessageText, Data: data}); stream != "" || position != "7" {
		t.Errorf("position %q of stream %q", position, stream)
	}
}

// A parameter takes the place of all of its name, however that is escaped, and leaves the others as they stand.
func TestParameterOfAQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                        "a+b=7%26",
		"x=1":                     "x=1&a+b=7%26",
		"a+b=1&x=%2F&a%20b=2&a+b": "x=%2F&a+b=7%26",
		"&x&&y=":                  "x&y=&a+b=7%26",
		"%zz=1&a+b=1&a+bc=2":      "%zz=1&a+bc=2&a+b=7%26",
	} {
		if got := withParameter(query, "a b", "7&"); got != want {
			t.Errorf("%q becomes %q, want %q", query, got, want)
		}
	}
}
