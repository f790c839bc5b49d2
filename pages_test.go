package wsnotify_test

import (
	"os"
	"path/filepath"
	"regexp"
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

// What a page of the repository links to is there.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"*.md", "*/*.md", "*/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	if !slices.Contains(pages, "README.md") {
		t.Fatalf("the pages are %q", pages)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "```") {
			if i%2 == 1 {
				continue
			}
			for _, link := range linkPattern.FindAllStringSubmatch(namePattern.ReplaceAllString(part, ""), -1) {
				target, anchor, _ := strings.Cut(link[1], "#")
				if strings.Contains(target, ":") {
					continue
				}
				to := page
				if target != "" {
					to = filepath.Join(filepath.Dir(page), target)
				}
				if _, err := os.Stat(to); err != nil {
					t.Errorf("%s links to %s, which is not there", page, link[1])
				} else if anchor != "" && !slices.Contains(anchors(t, to), anchor) {
					t.Errorf("%s links to %s, which has no such heading", page, link[1])
				}
			}
		}
	}
}

// anchors returns what the headings of a page are called in links.
func anchors(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(text), "```") {
		for line := range strings.Lines(part) {
			if level, title, ok := strings.Cut(strings.TrimSpace(line), " "); ok && i%2 == 0 && strings.Trim(level, "#") == "" {
				title = notInAnchors.ReplaceAllString(strings.ToLower(title), "")
				all = append(all, strings.ReplaceAll(title, " ", "-"))
			}
		}
	}
	return all
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)

// The README is for somebody with two minutes.
func TestReadmeIsShort(t *testing.T) {
	for _, page := range []string{"README.md", "README.zh.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), "\n"); n > 150 {
			t.Errorf("%s has %d lines, and may have 150: the reference is in docs/", page, n)
		}
	}
}

// Every page of docs/ can be found from its index, and that from the README.
func TestIndexLinksEveryPage(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "](docs/README.md)") {
		t.Error("README.md does not link docs/README.md")
	}
	wantListed(t, "docs/README.md", "docs/*.md", 10, func(page string) string {
		if page == "docs/README.md" {
			return ""
		}
		return "](" + filepath.Base(page) + ")"
	})
}

// wantListed checks that a page contains what link returns for each file of a pattern, of
// which there are at least so many.
func wantListed(t *testing.T, page, pattern string, least int, link func(file string) string) {
	t.Helper()
	index, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < least {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if !strings.Contains(string(index), link(filepath.ToSlash(file))) {
			t.Errorf("%s does not list %s", page, file)
		}
	}
}

// The files of docs/getting-started.md are those of examples/tutorial, whose
// tests run. The first block is a program that the page replaces later.
func TestTutorialIsItsProgram(t *testing.T) {
	var files []string
	for _, name := range []string{"token", "client", "web", "main", "main_test"} {
		source, err := os.ReadFile("examples/tutorial/" + name + ".go")
		if err != nil {
			t.Fatal(err)
		}
		_, code, _ := strings.Cut("\n"+string(source), "\npackage main\n") // below its doc comment
		files = append(files, "package main\n"+strings.TrimRight(code, "\n"))
	}
	blocks := fences(t, "docs/getting-started.md", "go")
	if len(blocks) == 0 {
		t.Fatal("docs/getting-started.md has no code")
	}
	compareCode(t, blocks[1:], files)
}

// docs/troubleshooting.md goes by what errors say. Its first table is of texts
// that are not ours.
func TestTroubleshootingTextsAreThoseOfErrors(t *testing.T) {
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, pattern := range []string{"*.go", "internal/transport/*.go", "internal/wire/*.go", "internal/outbox/*.go", "internal/handshake/*.go", "internal/inbox/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	_, ours, ok := strings.Cut(string(page), "From this library:")
	if !ok {
		t.Fatal("the page has no part of this library's texts")
	}
	found := 0
	for line := range strings.Lines(ours) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		seen, _, _ := strings.Cut(line[2:], " | ")
		for _, text := range namePattern.FindAllString(seen, -1) {
			found++
			for _, part := range strings.Split(strings.Trim(text, "`"), "…") {
				if !strings.Contains(source.String(), strings.TrimSpace(part)) {
					t.Errorf("no error says %q, as docs/troubleshooting.md has it", part)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d texts were compared", found)
	}
}

// Figures of speed and memory are told in several pages and measured for one,
// so that they go stale when it is written anew.
func TestFiguresAreThoseOfBench(t *testing.T) {
	measured, err := os.ReadFile("bench/README.md")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, n := range figures.FindAllString(string(measured), -1) {
		known[n] = true
	}
	for page, atLeast := range map[string]int{"README.md": 0, "docs/comparison.md": 3} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		found := figures.FindAllString(string(text), -1)
		if len(found) < atLeast {
			t.Errorf("%s has the figures %q", page, found)
		}
		for _, n := range found {
			if !known[n] {
				t.Errorf("%s says %s, and bench/README.md does not", page, n)
			}
		}
	}
}

// figures are thousands, ratios and microseconds, as the tables write them.
var figures = regexp.MustCompile(`\b[0-9]{1,3}(?:,[0-9]{3})+\b|\b[0-9]+\.[0-9]{2} ×|\b[0-9]{3,}\.[0-9]\b`)

func TestEveryExampleIsListed(t *testing.T) {
	wantListed(t, "examples/README.md", "examples/*/main.go", 9, func(main string) string {
		return "\n| [" + filepath.Base(filepath.Dir(main)) + "]("
	})
}
