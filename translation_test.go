package wsnotify_test

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// README.zh.md says in Chinese what README.md says, section by section. Its
// prose can't be compared; all that is not prose is: the blocks of code, the
// shapes of the sections, lists and tables, names in backquotes, numbers, and
// links.
func TestChineseReadme(t *testing.T) {
	english, chinese := sectionsOf(t, "README.md"), sectionsOf(t, "README.zh.md")
	for i := range max(len(english), len(chinese)) {
		switch {
		case i >= len(chinese):
			t.Errorf("README.zh.md has no section for %q", english[i].title)
			continue
		case i >= len(english):
			t.Errorf("README.md has no section for %q", chinese[i].title)
			continue
		}
		for _, diff := range chinese[i].differences(english[i]) {
			t.Errorf("%q in README.zh.md is not %q in README.md: %s", chinese[i].title, english[i].title, diff)
		}
	}
}

// A section is what stands between two headings. The first has none.
type section struct {
	title, level string
	code         []string
	items, rows  int
	names        []string // in backquotes
	numbers      []string
	links        []string
}

var (
	namePattern   = regexp.MustCompile("`[^`]+`")
	linkPattern   = regexp.MustCompile(`\]\(([^)]+)\)`)
	numberPattern = regexp.MustCompile(`[0-9]+(?:[.,][0-9]+)*`)
)

func sectionsOf(t *testing.T, page string) (all []section) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, section{title: page})
	for i, part := range strings.Split(string(text), "```") {
		if i%2 == 1 {
			s := &all[len(all)-1]
			s.code = append(s.code, part)
			continue
		}
		for line := range strings.Lines(part) {
			line = strings.TrimSpace(line)
			if level, title, ok := strings.Cut(line, " "); ok && strings.Trim(level, "#") == "" {
				all = append(all, section{title: title, level: level})
				continue
			}
			s := &all[len(all)-1]
			s.read(line)
		}
	}
	return all
}

func (s *section) read(line string) {
	if strings.HasPrefix(line, "- ") {
		s.items++
	}
	if strings.HasPrefix(line, "|") {
		s.rows++
	}
	for _, link := range linkPattern.FindAllStringSubmatch(line, -1) {
		// Each page links the other.
		s.links = append(s.links, strings.Replace(link[1], "README.zh.md", "README.md", 1))
	}
	line = linkPattern.ReplaceAllString(line, "]")
	s.names = append(s.names, namePattern.FindAllString(line, -1)...)
	line = namePattern.ReplaceAllString(line, "")
	s.numbers = append(s.numbers, numberPattern.FindAllString(line, -1)...)
}

// differences compares lists as sets, since another language may say things in
// another order, and name a thing more often.
func (s section) differences(o section) (all []string) {
	if s.level != o.level {
		all = append(all, fmt.Sprintf("the headings are %s and %s", s.level, o.level))
	}
	if !slices.Equal(s.code, o.code) {
		all = append(all, fmt.Sprintf("the code is\n%s\nand\n%s", s.code, o.code))
	}
	if s.items != o.items || s.rows != o.rows {
		all = append(all, fmt.Sprintf("%d items and %d rows of tables, and %d and %d", s.items, s.rows, o.items, o.rows))
	}
	for _, pair := range [][2][]string{{s.names, o.names}, {s.numbers, o.numbers}, {s.links, o.links}} {
		for _, x := range pair[0] {
			if !slices.Contains(pair[1], x) {
				all = append(all, fmt.Sprintf("only the Chinese one has %s", x))
			}
		}
		for _, x := range pair[1] {
			if !slices.Contains(pair[0], x) {
				all = append(all, fmt.Sprintf("only the English one has %s", x))
			}
		}
	}
	return all
}
