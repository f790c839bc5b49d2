package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// What is printed is drawn, escaped, and appears in its order.
func TestDrawsWhatWasPrinted(t *testing.T) {
	var svg strings.Builder
	draw(&svg, "$ a & b", []line{
		{0, `   0.000s  state    CLOSED → <"CONNECTING">`},
		{1500 * time.Millisecond, "   1.500s  error    " + strings.Repeat("long ", 30)},
	}, 60)
	var texts []string
	for decoder := xml.NewDecoder(strings.NewReader(svg.String())); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is not XML: %v\n%s", err, &svg)
		}
		if data, ok := token.(xml.CharData); ok && strings.TrimSpace(string(data)) != "" {
			texts = append(texts, string(data))
		}
	}
	texts = texts[1:] // the style
	if texts[0] != "$ a & b" || texts[1] != `   0.000s  state    CLOSED → <"CONNECTING">` || len(texts) < 5 {
		t.Errorf("the texts are %q", texts)
	}
	for _, text := range texts {
		if n := utf8.RuneCountInString(text); n > 60 {
			t.Errorf("a row has %d columns: %q", n, text)
		}
	}
	if strings.Count(strings.Join(texts, " "), "long") != 30 {
		t.Errorf("words were lost: %q", texts)
	}
	if !strings.Contains(svg.String(), "animation-delay:2500ms") {
		t.Errorf("the last line does not appear at its time:\n%s", &svg)
	}
}

// A command that fails leaves the file as it was.
func TestCommandThatFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.svg")
	if err := run(file, ".", 80, []string{"go", "run", "./missing"}); err == nil {
		t.Error("expected an error")
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}
