// Command release prepares, checks and tags a release of all modules of the
// repository. RELEASING.md says when to run what.
//
//	go run -C tools ./release set v1.2.3
//	go run -C tools ./release check v1.2.3
//	go run -C tools ./release tag v1.2.3
//
// It never pushes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

const usage = `Usage: go run -C tools ./release [flags] set|check|tag VERSION

  set    writes VERSION into every go.mod, and its heading into CHANGELOG.md
  check  says what is in the way of a release, and runs .ci/run
  tag    checks, then tags HEAD for every module, and says what to push

Flags:
`

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.Usage = func() { fmt.Fprint(out, usage); flags.PrintDefaults() }
	dry := flags.Bool("n", false, "with tag: only show the commands")
	skip := flags.Bool("skip-tests", false, "don't run .ci/run, since it has passed on this very commit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() != 2 {
		flags.Usage()
		return errors.New("expected a command and a version, such as: tag v1.2.3")
	}
	top, err := output(".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	r, err := openRepo(top)
	if err != nil {
		return err
	}
	return r.run(out, flags.Arg(0), flags.Arg(1), *dry, !*skip)
}

// run does one command.
func (r *repo) run(out io.Writer, command, version string, dry, tests bool) error {
	if module.CanonicalVersion(version) != version {
		return fmt.Errorf("the version %q must be like v1.2.3 or v1.2.3-rc.1", version)
	}
	if major := semver.Major(version); major != "v0" && major != "v1" {
		return fmt.Errorf("%s needs module paths that end in /%s", version, major)
	}
	switch command {
	case "set":
		return r.set(version, time.Now())
	case "check":
		return r.check(out, version, tests)
	case "tag":
		if err := r.check(out, version, tests); err != nil {
			return err
		}
		return r.tag(out, version, dry)
	}
	return fmt.Errorf("unknown command %q: expected set, check or tag", command)
}

// set writes what a release of the version needs, for the maintainer to commit.
func (r *repo) set(version string, now time.Time) error {
	name := filepath.Join(r.root, changelogName)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	log, err := addVersion(string(text), version, now)
	if err != nil {
		return err
	}
	for _, m := range r.modules {
		for _, path := range r.ownPaths(m) {
			if err := m.file.AddRequire(path, version); err != nil {
				return err
			}
		}
		text, err := m.file.Format()
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.root, m.dir, "go.mod"), text, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(name, []byte(log), 0o644)
}

// tag tags HEAD once for each released module, all or none.
func (r *repo) tag(out io.Writer, version string, dry bool) error {
	order, err := r.order()
	if err != nil {
		return err
	}
	var tags []string
	for _, m := range order {
		tag := m.tag(version)
		command := []string{"git", "tag", "-a", "-m", m.file.Module.Mod.Path + " " + version, tag}
		fmt.Fprintf(out, "git tag -a -m %q %s\n", command[4], tag)
		if !dry {
			if _, err := output(r.root, command...); err != nil {
				if len(tags) > 0 {
					_, undone := output(r.root, append([]string{"git", "tag", "-d"}, tags...)...)
					err = errors.Join(err, undone)
				}
				return err
			}
		}
		tags = append(tags, tag)
	}
	list := strings.Join(tags, " ")
	fmt.Fprintf(out, "\nNothing is pushed. Push all of it at once:\n  git push --atomic origin %s %s\n", branch, list)
	fmt.Fprintf(out, "or undo it:\n  git tag -d %s\n", list)
	fmt.Fprintf(out, "When it is pushed, make the proxy fetch it, from a folder outside the repository:\n")
	for _, m := range order {
		fmt.Fprintf(out, "  go list -m %s@%s\n", m.file.Module.Mod.Path, version)
	}
	return nil
}

// output runs a command and returns what it prints, without the last newline.
func output(dir string, args ...string) (string, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSuffix(string(text), "\n"), nil
}
