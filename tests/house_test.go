// Package tests holds the suites that test the whole client, and, here, the
// house that it lives in: which package may know which.
package tests

import (
	"bytes"
	"go/parser"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/internal/testkit"
)

const module = "github.com/wsnotify/wsnotify"

// borders says what each package below the root may import of the module, and
// what it must not import of others. What is not listed here fails the test.
var borders = map[string]struct{ may, never []string }{
	"internal/wire":      {nil, []string{"time", "net", "net/http", "context", "github.com/coder/websocket"}},
	"internal/deflate":   {nil, []string{"time", "net", "net/http", "context", "github.com/coder/websocket"}},
	"internal/extension": {[]string{"internal/deflate"}, []string{"time", "net", "net/http", "context", "github.com/coder/websocket"}},
	"internal/peertime":  {nil, []string{"net", "net/http", "context", "github.com/coder/websocket", "github.com/cenkalti/backoff/v4"}},
	"internal/transport": {[]string{"internal/wire", "internal/deflate", "internal/extension", "internal/handshake", "internal/peertime"}, []string{"github.com/cenkalti/backoff/v4"}},
	"internal/envelope":  {nil, []string{"net", "net/http", "time", "context", "github.com/coder/websocket", "github.com/cenkalti/backoff/v4"}},
	"internal/handshake": {nil, []string{"github.com/coder/websocket", "github.com/cenkalti/backoff/v4"}},
	"internal/position":  {nil, []string{"time", "net", "net/http", "context"}},
	"internal/inbox":     {[]string{"internal/position", "internal/wire"}, []string{"net", "net/http", "context", "github.com/coder/websocket"}},
	"internal/record":    {nil, []string{"net", "github.com/coder/websocket", "github.com/cenkalti/backoff/v4"}},
	"internal/outbox":    {[]string{"internal/wire", "internal/transport"}, []string{"net", "net/http", "github.com/coder/websocket", "github.com/cenkalti/backoff/v4"}},
	"internal/observe":   {[]string{""}, nil}, // what users of the client share
	"internal/testkit":   {nil, []string{"net/http", "github.com/coder/websocket"}},
	"internal/harness":   {[]string{"", "wsnotifytest", "internal/testkit", "internal/transport"}, []string{"github.com/coder/websocket"}},
}

// Arrows go down only.
func TestPackagesKeepTheirBorders(t *testing.T) {
	folders, err := filepath.Glob("../internal/*")
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	for _, folder := range folders {
		name := "internal/" + filepath.Base(folder)
		border, known := borders[name]
		if !known {
			t.Errorf("%s is not listed: say in borders what it may know", name)
			continue
		}
		for imported, file := range importsOf(t, folder) {
			inside, ours := strings.CutPrefix(imported, module)
			inside = strings.TrimPrefix(inside, "/")
			if ours && !slices.Contains(border.may, inside) || slices.Contains(border.never, imported) {
				t.Errorf("%s imports %s in %s, which %s must not know", name, imported, file, name)
			}
		}
	}
}

// The root reaches a WebSocket through internal/transport alone.
func TestRootDoesNotKnowTheTransport(t *testing.T) {
	for imported, file := range importsOf(t, "..") {
		inside, ours := strings.CutPrefix(imported, module+"/")
		if ours && (!strings.HasPrefix(inside, "internal/") || slices.Contains([]string{"internal/harness", "internal/observe", "internal/testkit"}, inside)) {
			t.Errorf("the root imports %s in %s", imported, file)
		}
		if imported == "github.com/coder/websocket" {
			t.Errorf("%s imports %s", file, imported)
		}
	}
}

// A reader finds what these names say.
func TestRootFilesKeepTheirNames(t *testing.T) {
	files := testkit.Sources(t, "..", parser.PackageClauseOnly)
	for _, name := range []string{"client", "config", "reconnect", "heartbeat", "message", "state", "errors", "events", "policy", "iter"} {
		if files[filepath.Join("..", name+".go")] == nil {
			t.Errorf("there is no %s.go", name)
		}
	}
}

// The types of the public API are the module's own or the standard library's,
// so that an importer's code does not change when a dependency does.
func TestPublicAPIHasNoTypeOfAnotherModule(t *testing.T) {
	foreign := map[string]bool{}
	for _, f := range testkit.Sources(t, "..", parser.ImportsOnly) {
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
				continue // the standard library
			}
			name = strings.TrimSuffix(name, "/v4")
			foreign[path.Base(name)] = true
		}
	}
	if !foreign["backoff"] {
		t.Error("no foreign import was found, not even that of the policies")
	}
	api := read(t, "../testdata/api.txt")
	for name := range foreign {
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).Match(api) {
			t.Errorf("testdata/api.txt shows a type of package %s", name)
		}
	}
}

// ARCHITECTURE.md says what each file of the root and each package below holds.
func TestArchitectureNamesEveryFile(t *testing.T) {
	page := string(read(t, "../ARCHITECTURE.md"))
	for file := range testkit.Sources(t, "..", parser.PackageClauseOnly) {
		if name := filepath.Base(file); name != "doc.go" && !strings.Contains(page, "`"+name+"`") {
			t.Errorf("it does not name %s", name)
		}
	}
	for name := range borders {
		if !strings.Contains(page, "| `"+name+"` |") {
			t.Errorf("it does not name %s", name)
		}
	}
}

// Each package below the root says in a doc.go what lives there.
func TestPackagesSayWhatLivesThere(t *testing.T) {
	for name := range borders {
		if name == "internal/observe" {
			continue // one file
		}
		if source := read(t, filepath.Join("..", filepath.FromSlash(name), "doc.go")); !bytes.HasPrefix(source, []byte("// Package "+path.Base(name)+" ")) {
			t.Errorf("the doc.go of %s says nothing", name)
		}
	}
}

// importsOf returns what the files of a folder import, for every system, each
// with a file that does. Tests don't count.
func importsOf(t *testing.T, folder string) map[string]string {
	t.Helper()
	imports := map[string]string{}
	for file, f := range testkit.Sources(t, folder, parser.ImportsOnly) {
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[imported] = filepath.Base(file)
		}
	}
	return imports
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
