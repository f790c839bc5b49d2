package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// private are the folders whose modules are for the repository alone. All other
// modules are released.
var private = []string{"bench", "examples", "interop", "tests", "tools"}

// repo is the repository with its modules, the root's first.
type repo struct {
	root    string
	modules []*goModule
}

// goModule is one go.mod.
type goModule struct {
	dir  string // below the root, with slashes; "." is the root
	file *modfile.File
}

// openRepo reads the go.mod files that git knows, and those that it doesn't
// ignore.
func openRepo(root string) (*repo, error) {
	list, err := output(root, "git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "go.mod", "*/go.mod")
	if err != nil {
		return nil, err
	}
	r := &repo{root: root}
	for _, name := range strings.Fields(list) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and still in the index
		}
		if err != nil {
			return nil, err
		}
		file, err := modfile.Parse(name, text, nil)
		if err != nil {
			return nil, err
		}
		r.modules = append(r.modules, &goModule{path.Dir(name), file})
	}
	slices.SortFunc(r.modules, func(a, b *goModule) int { return strings.Compare(a.dir, b.dir) })
	if len(r.modules) == 0 || r.modules[0].dir != "." {
		return nil, fmt.Errorf("%s has no go.mod", root)
	}
	for _, m := range r.modules {
		if got, want := m.file.Module.Mod.Path, path.Join(r.path(), m.dir); got != want {
			return nil, fmt.Errorf("%s/go.mod names the module %s, and its folder needs %s", m.dir, got, want)
		}
	}
	return r, nil
}

// path is that of the root's module.
func (r *repo) path() string { return r.modules[0].file.Module.Mod.Path }

func (m *goModule) released() bool {
	first, _, _ := strings.Cut(m.dir, "/")
	return !slices.Contains(private, first)
}

func (m *goModule) tag(version string) string {
	return path.Join(m.dir, version)
}

// find returns the module with that path, or nil.
func (r *repo) find(modulePath string) *goModule {
	for _, m := range r.modules {
		if m.file.Module.Mod.Path == modulePath {
			return m
		}
	}
	return nil
}

func (r *repo) isOwn(modulePath string) bool {
	return modulePath == r.path() || strings.HasPrefix(modulePath, r.path()+"/")
}

// ownPaths are the modules of the repository that m requires.
func (r *repo) ownPaths(m *goModule) (paths []string) {
	for _, require := range m.file.Require {
		if r.isOwn(require.Mod.Path) {
			paths = append(paths, require.Mod.Path)
		}
	}
	return paths
}

// order returns the released modules, each after those that it requires.
func (r *repo) order() (order []*goModule, err error) {
	var visit func(m *goModule, stack []string) error
	visit = func(m *goModule, stack []string) error {
		if slices.Contains(stack, m.dir) {
			return fmt.Errorf("modules require each other in a circle: %s", strings.Join(append(stack, m.dir), " → "))
		}
		if slices.Contains(order, m) || !m.released() {
			return nil
		}
		for _, own := range r.ownPaths(m) {
			if required := r.find(own); required != nil {
				if err := visit(required, append(stack, m.dir)); err != nil {
					return err
				}
			}
		}
		order = append(order, m)
		return nil
	}
	for _, m := range r.modules {
		if err := visit(m, nil); err != nil {
			return nil, err
		}
	}
	return order, nil
}

// required returns the version of each other that the modules require. It is the
// last that was released or the next; v0.0.0 is neither.
func (r *repo) required() string {
	for _, m := range r.modules {
		for _, require := range m.file.Require {
			if r.isOwn(require.Mod.Path) && require.Mod.Version != "v0.0.0" {
				return require.Mod.Version
			}
		}
	}
	return ""
}
