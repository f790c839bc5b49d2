package wsnotify_test

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// Pages have code that stands in tests, too, between lines of dashes, so that
// it compiles and runs.

// fences returns the blocks of code of a page that are in a language.
func fences(t *testing.T, page, language string) (code []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		if body, ok := strings.CutPrefix(part, language+"\n"); i%2 == 1 && ok {
			code = append(code, strings.TrimSpace(body))
		}
	}
	return code
}

// sourceBlocks returns what stands between the lines of dashes of a Go file.
func sourceBlocks(t *testing.T, file string) (code []string) {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(source), "// --- "+"begin\n")[1:] {
		body, _, _ := strings.Cut(part, "// --- "+"end")
		body = strings.TrimRight(body, "\t\n")
		if strings.HasPrefix(body, "\t") {
			body = strings.ReplaceAll("\n"+body, "\n\t", "\n")
		}
		code = append(code, strings.TrimSpace(body))
	}
	return code
}

func compareCode(t *testing.T, page, source []string) {
	t.Helper()
	if len(source) == 0 || !slices.Equal(page, source) {
		t.Errorf("the page has the code\n%s\n\nand not\n%s", strings.Join(page, "\n---\n"), strings.Join(source, "\n---\n"))
	}
}
