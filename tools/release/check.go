package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/semver"
)

// branch is the one that is released from.
const branch = "main"

// check says what is in the way of a release. The tests come last, and only
// when nothing else is wrong, since they take minutes.
func (r *repo) check(out io.Writer, version string, tests bool) error {
	text, err := os.ReadFile(filepath.Join(r.root, changelogName))
	if err != nil {
		return err
	}
	failed := false
	for _, c := range []struct {
		title string
		check func() ([]string, error)
	}{
		{"nothing is uncommitted, and the branch is " + branch, r.checkTree},
		{"no module has the tag yet, and the version is the latest", func() ([]string, error) { return r.checkTags(version) }},
		{"go.mod files agree, and can be used from outside", func() ([]string, error) { return r.checkModules(version) }},
		{changelogName + " describes the version", func() ([]string, error) { return checkChangelog(string(text), version), nil }},
	} {
		wrong, err := c.check()
		if err != nil {
			return err
		}
		mark := "ok  "
		if len(wrong) > 0 {
			mark, failed = "FAIL", true
		}
		fmt.Fprintln(out, mark, c.title)
		for _, w := range wrong {
			fmt.Fprintln(out, "    ", w)
		}
	}
	if failed {
		return errors.New("not ready for " + version)
	}
	if !tests {
		fmt.Fprintln(out, "skip tests")
		return nil
	}
	cmd := exec.Command("bash", ".ci/run")
	cmd.Dir, cmd.Stdout, cmd.Stderr = r.root, out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf(".ci/run: %w", err)
	}
	fmt.Fprintln(out, "ok   tests")
	if wrong, err := r.checkTree(); err != nil || len(wrong) > 0 {
		return errors.Join(err, fmt.Errorf("after the tests: %s", strings.Join(wrong, "\n")))
	}
	return nil
}

func (r *repo) checkTree() (wrong []string, err error) {
	changed, err := output(r.root, "git", "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if changed != "" {
		wrong = append(wrong, "commit or remove what git status shows:\n"+changed)
	}
	head, err := output(r.root, "git", "rev-parse", "--abbrev-ref", "HEAD")
	if err != nil {
		return nil, err
	}
	if head != branch {
		wrong = append(wrong, fmt.Sprintf("the branch is %s, and releases are made from %s", head, branch))
	}
	return wrong, nil
}

func (r *repo) checkTags(version string) (wrong []string, err error) {
	list, err := output(r.root, "git", "tag", "--list")
	if err != nil {
		return nil, err
	}
	for _, tag := range strings.Fields(list) {
		for _, m := range r.modules {
			if m.released() && tag == m.tag(version) {
				wrong = append(wrong, fmt.Sprintf("the tag %s is there already; a published version must never change", tag))
			}
		}
		if semver.Compare(tag, version) > 0 {
			wrong = append(wrong, fmt.Sprintf("the tag %s is later than %s", tag, version))
		}
	}
	return wrong, nil
}

// checkModules holds go.mod files against what a user needs, who sees the
// requirements of a module that he imports, and not its replacements. An empty
// version is the one that the first module requires.
func (r *repo) checkModules(version string) (wrong []string, err error) {
	if version == "" {
		version = r.required()
	}
	for _, m := range r.modules {
		complain := func(format string, args ...any) {
			wrong = append(wrong, m.dir+"/go.mod "+fmt.Sprintf(format, args...))
		}
		for _, require := range m.file.Require {
			if !r.isOwn(require.Mod.Path) {
				continue
			}
			if require.Mod.Version != version {
				complain("requires %s, and another module %s: run \"go mod edit -require=%s@%[2]s\" there", require.Mod, version, require.Mod.Path)
			}
			required := r.find(require.Mod.Path)
			if required == nil {
				complain("requires %s, which is not in the repository", require.Mod.Path)
			} else if m.released() && !required.released() {
				complain("requires %s, which is not released", require.Mod.Path)
			}
		}
		if !m.released() {
			continue
		}
		commands, err := output(filepath.Join(r.root, m.dir), "go", "list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, "./...")
		if err != nil {
			return nil, err
		}
		for _, replace := range m.file.Replace {
			switch {
			case commands != "":
				complain("replaces %s, so that \"go install\" refuses the commands of the module: move the line to a go.work beside it", replace.Old.Path)
			case !r.isOwn(replace.Old.Path):
				complain("replaces %s, which it does not for a user of the module", replace.Old.Path)
			}
		}
		for _, exclude := range m.file.Exclude {
			complain("excludes %s, which it does not for a user of the module", exclude.Mod)
		}
	}
	return wrong, nil
}
