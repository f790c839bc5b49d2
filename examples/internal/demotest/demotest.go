// Package demotest tests the examples.
package demotest

import (
	"bytes"
	"context"
	"go/parser"
	"go/token"
	"io"
	"strings"
	"testing"
)

// Output fails the test unless run prints what the comment of the package in
// main.go says under "It prints:".
func Output(t *testing.T, run func(ctx context.Context, out io.Writer) error) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(f.Doc.Text(), "It prints:\n\n")
	if !ok {
		t.Fatal(`the comment of the package has no "It prints:"`)
	}
	var want strings.Builder
	for line := range strings.Lines(block) {
		if !strings.HasPrefix(line, "\t") {
			break
		}
		want.WriteString(line[1:])
	}
	var got bytes.Buffer
	if err := run(t.Context(), &got); err != nil {
		t.Error(err)
	}
	if got.String() != want.String() {
		t.Errorf("it prints\n%s\nand its comment says\n%s", &got, &want)
	}
}
