package envelope

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The types that the decoder must treat as encoding/json does.
type (
	inner struct {
		City string `json:"city"`
		Zip  int
	}
	flat struct {
		ID       int    `json:"id"`
		Customer string `json:"customer,omitempty"`
		Price    float64
		Small    int8
		Byte     uint8 `json:"byte"`
		Half     float32
		Paid     bool
		hidden   string //lint:ignore U1000 must be left alone
		Never    string `json:"-"`
		Dash     string `json:"-,omitempty"` //lint:ignore SA5008 it is meant
	}
	nested struct {
		Name  inner          `json:"name"`
		Time  time.Time      `json:"time"`
		Any   any            `json:"any"`
		Ptr   *inner         `json:"ptr"`
		List  []inner        `json:"list"`
		Map   map[string]int `json:"map"`
		Raw   json.RawMessage
		Array [2]string
		Num   json.Number
	}
	embedding struct {
		inner
		Own string
	}
	quoted struct {
		N int `json:"n,string"`
	}
	doubled struct {
		A string `json:"B"`
		B string
	}
	strange struct {
		A string `json:"a/b"`
		B int    `json:"ключ"`
		C string
	}
	folding struct { // two names that differ in case alone
		A string `json:"name"`
		B string `json:"NAME"`
	}
	letters struct {
		Key  int
		Dash string `json:"dash"`
	}
	shouting string
	lenient  struct{ V string }
)

func (s *shouting) UnmarshalText(text []byte) error {
	*s = shouting(strings.ToUpper(string(text)))
	return nil
}

func (l *lenient) UnmarshalJSON(text []byte) error {
	l.V = string(text)
	return nil
}

var decodings = []struct {
	name    string
	compare func(t *testing.T, content string)
}{
	{"string", compareDecoding[string]},
	{"bool", compareDecoding[bool]},
	{"int", compareDecoding[int]},
	{"uint16", compareDecoding[uint16]},
	{"float32", compareDecoding[float32]},
	{"duration", compareDecoding[time.Duration]},
	{"number", compareDecoding[json.Number]},
	{"any", compareDecoding[any]},
	{"map", compareDecoding[map[string]string]},
	{"slice", compareDecoding[[]inner]},
	{"pointer", compareDecoding[*inner]},
	{"text", compareDecoding[shouting]},
	{"unmarshaler", compareDecoding[lenient]},
	{"empty", compareDecoding[struct{}]},
	{"inner", compareDecoding[inner]},
	{"flat", compareDecoding[flat]},
	{"nested", compareDecoding[nested]},
	{"embedding", compareDecoding[embedding]},
	{"quoted", compareDecoding[quoted]},
	{"doubled", compareDecoding[doubled]},
	{"strange", compareDecoding[strange]},
	{"folding", compareDecoding[folding]},
	{"letters", compareDecoding[letters]},
}

// compareDecoding decodes content as T by both ways, and compares the results.
func compareDecoding[T any](t *testing.T, content string) {
	t.Helper()
	var want T
	wantErr := Decode(json.RawMessage(content), &want)
	got, err := DecodeAs[T](NewDecoder(reflect.TypeFor[T]()), json.RawMessage(content))
	if !reflect.DeepEqual(got, want) || fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Errorf("%T of %s is\n\t%+v, %v\nand encoding/json makes it\n\t%+v, %v", got, content, got, err, want, wantErr)
	}
}

// unusualContents are those that the decoder leaves to encoding/json, though a plain type can hold them: keys
// in another case or with escape sequences, JSON in a string, and what is too deep.
var unusualContents = []string{
	`{"ID":5}`, `{"Id":5,"id":6}`, `{"id":6,"iD":7}`, `{"\u0069d":8}`, `{"PRICE":1}`, `{"price":null,"id":null}`, `{"Customer":"folded","customer":"exact"}`,
	`{"ſmall":1}`, `{"DAſh":1,"s\u006dall":2}`, `{"DASH":"A"}`, `{"Key":1}`, `{"ZIP":1}`, `{"zip":1}`, `{"City":"\u004b"}`, `"null"`, `"7"`,
	`{"deep":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,"id":4}`,
	`{"any":` + strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70) + `}`,
}

var decodingContents = append(unusualContents, []string{
	`"text"`, `""`, `"a\"b\\\/\b\f\n\r\tü\u00fc\ud83d\ude00"`, `"\ud800"`, `"\ud800\u0041"`, `"😀"`,
	`true`, `false`, `null`, `0`, `-0`, `7`, `-1`, `255`, `256`, `1.5`, `1e2`, `1E400`, `-1e-400`,
	`9223372036854775807`, `9223372036854775808`, `123456789012345678901234567890`,
	`[]`, `{}`, `[1, 2]`, `[null]`, `{"a":1}`, ` {} `, `"{}"`, `"[]"`, `"\"x\""`,
	`{"id":1,"customer":"Ada","Price":19.95,"Small":-128,"byte":255,"Half":0.5,"Paid":true}`,
	`{ "Paid" : false , "id" : 2 , "unknown" : { "id" : [ 3 ] } , "customer" : "Bo" }`,
	`{"id":1,"id":2}`, `{"B":"a","B":"b"}`, `"{\"id\":1}x"`,
	`{"hidden":"x","Never":"y","-":"z","never":"v"}`, `{"id":"1"}`, `{"id":1.5}`, `{"id":1e1}`, `{"Small":128}`, `{"byte":-1}`, `{"byte":256}`,
	`{"Half":1e39}`, `{"Half":"x"}`, `{"Paid":1}`, `{"customer":1}`, `{"customer":{}}`, `{"customer":["x"]}`,
	`{"Kelvin":1}`, `{"Å":1,"id":2}`, `{"Zip":1,"city":"K"}`,
	`"{\"id\":1,\"customer\":\"A\\\"da\"}"`, `"{\"id\":1} "`, `"{\"id\":\"x\"}"`, `"{\"id\":1"`, `"{\"city\":\"Z\\u00fcrich\"}"`,
	`{"name":{"city":"Bern","Zip":3000},"time":"2026-01-02T03:04:05Z","any":{"x":[1,null]},"ptr":{"city":"Ulm"},"list":[{"city":"A"},{"Zip":2}],"map":{"a":1},"Raw": {"x" : 1} ,"Array":["a","b","c"],"Num":1e5}`,
	`{"name":null,"time":null,"any":null,"ptr":null,"list":null,"map":null,"Raw":null,"Array":null,"Num":null}`,
	`{"name":{"city":"A"},"name":{"Zip":1},"ptr":{"city":"A"},"ptr":{"Zip":1},"list":[{"city":"A"}],"list":[{"Zip":1}],"map":{"a":1},"map":{"b":2}}`,
	`{"name":"{\"city\":\"A\"}"}`, `{"name":[]}`, `{"time":"yesterday"}`, `{"Num":"x"}`, `{"Num":"1"}`, `{"list":{}}`,
	`{"Own":"o","city":"promoted","Zip":1}`, `{"n":"5"}`, `{"n":5}`, `{"B":"which","A":"x","b":"y"}`, `{"a/b":"s","ключ":1,"C":"c"}`, `{"КЛЮЧ":2}`, `{"name":"x","NAME":"y"}`, `{"Name":"x"}`, `{"c":"folded"}`,
	`{"a":{"b":{"c":[[[{}]]]}},"id":3}`, `{"":1}`, `{"id":1,"":"x"}`,
	strings.Repeat("[", 100) + strings.Repeat("]", 100),
}...)

func TestDecodingIsThatOfEncodingJSON(t *testing.T) {
	for _, d := range decodings {
		t.Run(d.name, func(t *testing.T) {
			for _, content := range decodingContents {
				d.compare(t, content)
			}
		})
	}
}

// The decoder would be of no use if it left everything to encoding/json.
func TestPlainTypesNeedNoEncodingJSON(t *testing.T) {
	left := map[string]bool{}
	for _, typ := range []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[uint16](),
		reflect.TypeFor[float32](), reflect.TypeFor[inner](), reflect.TypeFor[flat](), reflect.TypeFor[letters](), reflect.TypeFor[nested]()} {
		for _, content := range decodingContents {
			v := reflect.New(typ)
			if NewDecoder(typ).decode([]byte(content), v.Elem()) || Decode([]byte(content), v.Interface()) != nil {
				continue
			}
			if left[content] = true; !slices.Contains(unusualContents, content) {
				t.Errorf("%s is left to encoding/json by %v", content, typ)
			}
		}
	}
	for _, content := range unusualContents {
		if !left[content] {
			t.Errorf("no type leaves %s to encoding/json", content)
		}
	}
	d, raw := NewDecoder(reflect.TypeFor[struct{ ID int }]()), json.RawMessage(`{"ID":7}`)
	if n := testing.AllocsPerRun(100, func() { DecodeAs[struct{ ID int }](d, raw) }); n > 1 {
		t.Errorf("%v allocations for a value", n)
	}
}

// A string that holds JSON is decoded where the type does not hold the string. The error is that of the string
// unless it does.
func TestDecodingAString(t *testing.T) {
	for content, want := range map[string]string{
		`{"ID":7}`: "{7} <nil>", `"{\"ID\":7}"`: "{7} <nil>", `" {\"ID\":7}\n"`: "{7} <nil>", `"null"`: "{0} <nil>",
		`""`: "{0} json: cannot unmarshal string into Go value of type struct { ID int }", `"{\"ID\":"`: "{0} json: cannot unmarshal string into Go value of type struct { ID int }",
		`"[]"`: "{0} json: cannot unmarshal array into Go value of type struct { ID int }", `[]`: "{0} json: cannot unmarshal array into Go value of type struct { ID int }",
		``: "{0} unexpected end of JSON input", `"{}`: "{0} unexpected end of JSON input",
	} {
		var v struct{ ID int }
		err := Decode(json.RawMessage(content), &v)
		if got := fmt.Sprint(v, " ", err); got != want {
			t.Errorf("%s: %s, expected %s", content, got, want)
		}
	}
}

func FuzzDecodeContent(f *testing.F) {
	for _, content := range decodingContents {
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content string) {
		content = strings.Trim(content, " \t\r\n")
		if !json.Valid([]byte(content)) || !utf8.ValidString(content) {
			return // is not given to the decoder
		}
		for _, d := range decodings {
			d.compare(t, content)
		}
	})
}

// A key that no field is for costs the same whatever the number of fields, and needs no encoding/json.
func TestUnknownKeysNeedNoEncodingJSON(t *testing.T) {
	d := NewDecoder(manyFields(400))
	for name, want := range map[string]int{"k007": 7, "k399": 399, "k400": unknown, "K007": asked, "\u212a007": asked, "\u00e9k007": unknown,
		`\u006b007`: asked, "": unknown, strings.Repeat("k", 100): unknown} {
		if got := d.field([]byte(name), 3); got != want {
			t.Errorf("%s is field %d, expected %d", name, got, want)
		}
	}
}

func manyFields(n int) reflect.Type {
	var fields []reflect.StructField
	for i := range n {
		tag := reflect.StructTag(fmt.Sprintf(`json:"k%03d"`, i))
		fields = append(fields, reflect.StructField{Name: fmt.Sprint("F", i), Type: reflect.TypeFor[int](), Tag: tag})
	}
	return reflect.StructOf(fields)
}

// A peer may send as many keys that no field is for as ReadLimit allows.
func BenchmarkUnknownKeys(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"x000":1`)
	for i := 0; text.Len() < 1<<20; i++ {
		fmt.Fprintf(&text, `,"x%03d":1`, i%1000)
	}
	raw := []byte(text.String() + "}")
	for _, n := range []int{5, 400} {
		typ := manyFields(n)
		b.Run(fmt.Sprintf("%d-fields/decoder", n), func(b *testing.B) {
			d := NewDecoder(typ)
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if !d.decode(raw, reflect.New(typ).Elem()) {
					b.Fatal("left to encoding/json")
				}
			}
		})
		b.Run(fmt.Sprintf("%d-fields/encoding-json", n), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			for b.Loop() {
				if err := json.Unmarshal(raw, reflect.New(typ).Interface()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeContent(b *testing.B) {
	content := json.RawMessage(`{"id":4711,"customer":"Ada Lovelace","price":1995}`)
	type order struct {
		ID       int    `json:"id"`
		Customer string `json:"customer"`
		Price    int    `json:"price"`
	}
	b.Run("decoder", func(b *testing.B) {
		d := NewDecoder(reflect.TypeFor[order]())
		b.ReportAllocs()
		for b.Loop() {
			if v, err := DecodeAs[order](d, content); err != nil || v.ID == 0 {
				b.Fatal(v, err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v order
			if err := Decode(content, &v); err != nil || v.ID == 0 {
				b.Fatal(v, err)
			}
		}
	})
}
