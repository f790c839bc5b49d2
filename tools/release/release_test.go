package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// files are those of a small repository whose release v0.2.0 is at hand.
func files() map[string]string {
	return map[string]string{
		"go.mod":       "module example.com/a\n\ngo 1.25.0\n",
		"a.go":         "package a\n",
		"CHANGELOG.md": "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-01-02\n\n### Added\n\n- All of it.\n",
		".ci/run":      "echo the tests run; ! [ -e failing ]\n",
		// By name it comes before what it requires.
		"cmd/go.mod":    "module example.com/a/cmd\n\ngo 1.25.0\n\nrequire (\n\texample.com/a v0.2.0\n\texample.com/a/lib v0.2.0\n)\n",
		"cmd/go.work":   "go 1.25.0\n\nuse .\n\nreplace example.com/a => ../\n\nreplace example.com/a/lib => ../lib\n",
		"cmd/main.go":   "package main\n\nfunc main() {}\n",
		"lib/go.mod":    "module example.com/a/lib\n\ngo 1.25.0\n\nrequire example.com/a v0.2.0\n\nreplace example.com/a => ../\n",
		"lib/lib.go":    "package lib\n",
		"tests/go.mod":  "module example.com/a/tests\n\ngo 1.25.0\n\nrequire example.com/a v0.2.0\n\nreplace example.com/a => ../\n",
		"tests/test.go": "package tests\n",
	}
}

// git runs it in a folder as somebody.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	text, err := output(dir, append([]string{"git", "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// write commits files as a repository of their own, on the branch that is
// released from.
func write(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "a")
		t.Setenv("GIT_"+who+"_EMAIL", "a@example.com")
	}
	git(t, dir, "init", "-q", "-b", branch)
	git(t, dir, "add", "-A")
	git(t, dir, "commit", "-q", "-m", "x")
	return dir
}

func open(t *testing.T, dir string) *repo {
	t.Helper()
	r, err := openRepo(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTagsRootBeforeThoseThatRequireIt(t *testing.T) {
	dir := write(t, files())
	var out strings.Builder
	if err := open(t, dir).run(&out, "tag", "v0.2.0", true, true); err != nil {
		t.Fatal(err, out.String())
	}
	if tags := git(t, dir, "tag"); tags != "" {
		t.Errorf("a dry run has tagged %q", tags)
	}
	shown := out.String()
	out.Reset()
	if err := open(t, dir).run(&out, "tag", "v0.2.0", false, true); err != nil {
		t.Fatal(err, out.String())
	}
	if out.String() != shown {
		t.Errorf("the dry run says\n%s\nand the real one\n%s", shown, out.String())
	}
	if !strings.Contains(shown, "the tests run\nok   tests\n") {
		t.Errorf("no tests ran:\n%s", shown)
	}
	if want := "git push --atomic origin main v0.2.0 lib/v0.2.0 cmd/v0.2.0\n"; !strings.Contains(shown, want) {
		t.Errorf("%q is not in\n%s", want, shown)
	}
	if got, want := git(t, dir, "tag", "--points-at", "HEAD"), "cmd/v0.2.0\nlib/v0.2.0\nv0.2.0"; got != want {
		t.Errorf("tags are %q, and not %q", got, want)
	}
	if kind := git(t, dir, "cat-file", "-t", "lib/v0.2.0"); kind != "tag" {
		t.Errorf("lib/v0.2.0 is a %s, and not a tag with a message", kind)
	}
}

func TestCheckFindsWhatIsInTheWay(t *testing.T) {
	for _, c := range []struct {
		name, want string
		spoil      func(files map[string]string)
		after      func(dir string) // the commit
	}{
		{name: "older requirement", want: "lib/go.mod requires example.com/a@v0.1.0, and another module v0.2.0",
			spoil: func(f map[string]string) { f["lib/go.mod"] = strings.Replace(f["lib/go.mod"], "v0.2.0", "v0.1.0", 1) }},
		{name: "older requirement of a private module", want: "tests/go.mod requires example.com/a@v0.0.0",
			spoil: func(f map[string]string) {
				f["tests/go.mod"] = strings.Replace(f["tests/go.mod"], "v0.2.0", "v0.0.0", 1)
			}},
		{name: "requirement of a private module", want: "lib/go.mod requires example.com/a/tests, which is not released",
			spoil: func(f map[string]string) { f["lib/go.mod"] += "require example.com/a/tests v0.2.0\n" }},
		{name: "replace beside a command", want: "cmd/go.mod replaces example.com/a, so that",
			spoil: func(f map[string]string) { f["cmd/go.mod"] += "replace example.com/a => ../\n" }},
		{name: "foreign replace", want: "lib/go.mod replaces example.com/b",
			spoil: func(f map[string]string) { f["lib/go.mod"] += "replace example.com/b => example.com/c v1.0.0\n" }},
		{name: "exclude", want: "lib/go.mod excludes example.com/b@v1.0.0",
			spoil: func(f map[string]string) { f["lib/go.mod"] += "exclude example.com/b v1.0.0\n" }},
		{name: "no heading", want: `the heading after "## [Unreleased]" must be that of v0.2.0`,
			spoil: func(f map[string]string) {
				f[changelogName] = strings.Replace(f[changelogName], "[0.2.0]", "[0.1.9]", 1)
			}},
		{name: "unreleased changes", want: "changes still stand under",
			spoil: func(f map[string]string) {
				f[changelogName] = strings.Replace(f[changelogName], "[Unreleased]\n", "[Unreleased]\n\n- More.\n", 1)
			}},
		{name: "uncommitted", want: "?? new", after: func(dir string) { os.WriteFile(filepath.Join(dir, "new"), nil, 0o644) }},
		{name: "other branch", want: "the branch is side", after: func(dir string) { git(t, dir, "checkout", "-q", "-b", "side") }},
		{name: "tag of a nested module", want: "the tag lib/v0.2.0 is there already", after: func(dir string) { git(t, dir, "tag", "lib/v0.2.0") }},
		{name: "later tag", want: "the tag v0.10.0 is later than v0.2.0", after: func(dir string) { git(t, dir, "tag", "v0.10.0") }},
		{name: "failing tests", want: "the tests run", spoil: func(f map[string]string) { f["failing"] = "" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := files()
			if c.spoil != nil {
				c.spoil(f)
			}
			dir := write(t, f)
			if c.after != nil {
				c.after(dir)
			}
			before := git(t, dir, "tag")
			var out strings.Builder
			if err := open(t, dir).run(&out, "tag", "v0.2.0", false, true); err == nil {
				t.Error("it has tagged")
			}
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("%q is not in\n%s", c.want, out.String())
			}
			if after := git(t, dir, "tag"); after != before {
				t.Errorf("tags are %q, and not %q", after, before)
			}
		})
	}
}

func TestNoTagIsLeftWhenOneFails(t *testing.T) {
	dir := write(t, files())
	git(t, dir, "tag", "cmd/v0.2.0/in-the-way") // a folder where git would put the file of the last tag
	if err := open(t, dir).run(&strings.Builder{}, "tag", "v0.2.0", false, false); err == nil {
		t.Error("it is no error")
	}
	if tags := git(t, dir, "tag"); tags != "cmd/v0.2.0/in-the-way" {
		t.Errorf("tags are left: %q", tags)
	}
}

func TestSetMakesReady(t *testing.T) {
	f := files()
	f[changelogName] = "# Changelog\n\n## [Unreleased]\n\n### Fixed\n\n- More.\n\n" + strings.SplitN(f[changelogName], "\n\n", 3)[2]
	dir := write(t, f)
	for range 2 { // the second has nothing to do
		if err := open(t, dir).set("v0.3.0", time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, dir, "commit", "-qam", "Release v0.3.0")
	var out strings.Builder
	if err := open(t, dir).run(&out, "check", "v0.3.0", false, false); err != nil {
		t.Error(err, out.String())
	}
	text, err := os.ReadFile(filepath.Join(dir, changelogName))
	if err != nil {
		t.Fatal(err)
	}
	if want := "## [Unreleased]\n\n## [0.3.0] - 2026-02-03\n\n### Fixed\n\n- More.\n\n## [0.2.0] - 2026-01-02\n"; !strings.Contains(string(text), want) {
		t.Errorf("the changelog is\n%s", text)
	}
}

func TestVersionsThatCannotBeReleased(t *testing.T) {
	r := open(t, write(t, files()))
	for _, version := range []string{"0.2.0", "v0.2", "v0.2.0+1", "latest", "v2.0.0"} {
		if err := r.run(&strings.Builder{}, "check", version, false, false); err == nil || !strings.Contains(err.Error(), version) || strings.Contains(err.Error(), "not ready") {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// What holds on every commit of this repository, and not only on one that is
// released.
func TestThisRepository(t *testing.T) {
	r := open(t, "../..")
	wrong, err := r.checkModules("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(r.root, changelogName))
	if err != nil {
		t.Fatal(err)
	}
	_, form := parseChangelog(string(text))
	for _, w := range slices.Concat(wrong, form) {
		t.Error(w)
	}
}
