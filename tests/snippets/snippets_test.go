package snippets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every block of Go in a page is type-checked. A block is one of these, and the
// first that it is counts:
//
//  1. a file, with a package clause;
//  2. declarations, with or without imports;
//  3. an expression;
//  4. statements, the body of a function that returns an error or nothing;
//  5. fields of wsnotify.Config, or of one of its structs.
//
// But for files, packages need no import: see wellKnown. The names of prelude are
// declared, and unused variables are no error. What else a block needs stands
// above it, in comments that a reader of the page does not see:
//
//	<!-- go: type Order struct{ ID int } -->    a declaration, for the next block
//	<!-- go for this page: var x int -->        a declaration, for all that follow and don't declare it
//	<!-- go: with the block above -->           declarations of the block before
//	<!-- go: skip, because … -->                the block is not checked
const prelude = `
var (
	client *wsnotify.Client
	cfg    wsnotify.Config
	ctx    context.Context
	err    error
	url, user string
)
`

func TestSnippetsCompile(t *testing.T) {
	imports := newImports(t)
	checked := 0
	for _, page := range pages(t) {
		t.Run(filepath.ToSlash(page), func(t *testing.T) {
			for _, s := range snippetsOf(t, filepath.Join(root, page)) {
				checked++
				if err := imports.check(s); err != nil {
					t.Errorf("line %d: %v\n%s", s.line, err, s.code)
				}
			}
		})
	}
	if checked < 40 {
		t.Errorf("only %d blocks were checked", checked)
	}
}

// The check finds what is wrong: names, fields and types that are not there.
func TestWrongSnippetsFail(t *testing.T) {
	imports := newImports(t)
	for _, code := range []string{
		"client.Subscibe(\"a\")",
		"Heartbeat: wsnotify.Heartbeat{NoTexts: true},",
		"var n int = client.Status()",
		"package main\n\nfunc main() { wsnotify.New(wsnotify.Config{}) }", // no import
		"if err := client.Close(); err {\n}",
		"func f() {",
	} {
		if err := imports.check(snippet{code: code}); err == nil {
			t.Errorf("this compiles: %s", code)
		}
	}
	for _, code := range []string{
		"client.Subscribe(\"a\")",
		"Heartbeat: wsnotify.Heartbeat{NoText: true},",
		"NoText: true,",
		"status := client.Status()",
		"wsnotify.Config{}",
		"if err := client.Close(); err != nil {\n\treturn err\n}",
		"import \"github.com/wsnotify/wsnotify\"\n\ntype T struct{ c wsnotify.Client }",
	} {
		if err := imports.check(snippet{code: code}); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
}

const root = "../.."

// pages are all pages of the repository.
func pages(t *testing.T) []string {
	cmd := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// A snippet is a block of code with what its page declares for it.
type snippet struct {
	line     int
	declared string
	code     string
}

var declared = regexp.MustCompile(`^(?:var|func|type|const) \w+`)

var comment = regexp.MustCompile(`^\s*<!-- go( for this page)?: (.*) -->$`)

func snippetsOf(t *testing.T, page string) (all []snippet) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var ofPage, declared, before string
	skip := false
	var block *snippet
	indent := ""
	for i, line := range strings.Split(string(text), "\n") {
		trimmed := strings.TrimSpace(line)
		m := comment.FindStringSubmatch(line)
		switch {
		case block != nil && trimmed == "```":
			if !skip {
				all = append(all, *block)
			}
			before, declared, skip, block = block.declared+block.code, "", false, nil
		case block != nil:
			block.code += strings.TrimPrefix(line, indent) + "\n"
		case trimmed == "```go":
			indent = line[:strings.Index(line, "`")]
			block = &snippet{line: i + 1, declared: ofPage + declared}
		case m == nil:
		case m[1] != "":
			ofPage += m[2] + "\n"
		case strings.HasPrefix(m[2], "skip, because "):
			skip = true
		case m[2] == "with the block above":
			declared += before
		default:
			declared += m[2] + "\n"
		}
	}
	return all
}

// structs are those whose fields a block may have.
var structs = []string{"Config", "Heartbeat", "Outbox", "Inbox", "Envelope", "Resume", "Subscriptions"}

// check reports the errors of the first form that the block may have.
func (im *imports) check(s snippet) error {
	if strings.HasPrefix(s.code, "package ") || strings.Contains(s.code, "\npackage ") {
		return im.types(s.code)
	}
	first := im.wrapped(s, s.code)
	if first == nil {
		return nil
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+s.code, 0); err == nil {
		return first
	}
	if _, err := parser.ParseExpr(s.code); err == nil && im.wrapped(s, "var _ = "+s.code) == nil {
		return nil
	}
	function := "func() {\n" + s.code + "\n}"
	if _, err := parser.ParseExpr(function); err == nil {
		if err := im.wrapped(s, "func _() {\n"+s.code+"\n}"); err == nil {
			return nil
		}
		return im.wrapped(s, "func _() error {\n"+s.code+"\npanic(0)\n}")
	}
	var err error
	for i, name := range structs {
		fields := im.wrapped(s, "var _ = wsnotify."+name+"{\n"+s.code+"\n}")
		if fields == nil {
			return nil
		}
		if i == 0 {
			err = fields
		}
	}
	return err
}

// wrapped checks declarations.
func (im *imports) wrapped(s snippet, code string) error {
	declares := func(name string) bool {
		return regexp.MustCompile(`(?m)^(var|func|type|const) ` + name + `\b`).MatchString(s.declared + code)
	}
	var known strings.Builder
	for line := range strings.Lines(prelude) {
		names := regexp.MustCompile(`^\t(\w+(?:, \w+)*) +(.*)\n`).FindStringSubmatch(line)
		if names == nil {
			continue
		}
		for _, name := range strings.Split(names[1], ", ") {
			if !declares(name) {
				fmt.Fprintf(&known, "var %s %s\n", name, names[2])
			}
		}
	}
	for line := range strings.Lines(s.declared) { // but for what the block itself declares
		name := declared.FindStringSubmatch(line)
		if name == nil || !regexp.MustCompile(`(?m)^`+name[0]+`\b`).MatchString(code) {
			known.WriteString(line)
		}
	}
	head, body := "package p\n", known.String()+code
	if strings.HasPrefix(code, "import ") { // imports come first
		file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+code, parser.ImportsOnly)
		if err != nil {
			return err
		}
		end := int(file.Decls[len(file.Decls)-1].End()) - len("package p\n") - 1
		head, body = head+code[:end]+"\n", known.String()+code[end:]
	}
	return im.types(im.addImports(head, body))
}

// wellKnown are packages whose name is enough where a block is not a file.
// websocket is coder's.
var wellKnown = []string{
	"bytes", "context", "crypto/tls", "crypto/x509", "encoding/binary", "encoding/json", "errors", "fmt", "io", "log", "log/slog",
	"net", "net/http", "net/url", "os", "os/signal", "strconv", "strings", "sync", "syscall", "testing", "testing/synctest",
	"time", "slices", "maps", "sync/atomic", "math/rand/v2", "regexp",
	"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_golang/prometheus/promhttp", "golang.org/x/time/rate",
	"github.com/cenkalti/backoff/v4", "github.com/coder/websocket",
	"github.com/wsnotify/wsnotify", "github.com/wsnotify/wsnotify/h2", "github.com/wsnotify/wsnotify/otel",
	"github.com/wsnotify/wsnotify/prom", "github.com/wsnotify/wsnotify/spool", "github.com/wsnotify/wsnotify/wsnotifytest",
}

// addImports imports what the body uses and neither it nor head does declare.
func (im *imports) addImports(head, body string) string {
	file, err := parser.ParseFile(token.NewFileSet(), "", head+body, 0)
	if err != nil {
		return head + body // which fails with this error
	}
	used := map[string]bool{}
	for _, id := range file.Unresolved {
		used[id.Name] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		// A name of prelude, such as url, may hide a package that is meant.
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && id.Name == "url" {
				used["url"] = true
			}
		}
		return true
	})
	for _, path := range wellKnown {
		name := im.names[path]
		if used[name] && !strings.Contains(head, `"`+path+`"`) {
			if name == "url" {
				body = strings.Replace(body, "var url string\n", "", 1)
			}
			head += fmt.Sprintf("import %s %q\n", name, path)
		}
	}
	return head + body
}

// types type-checks a file.
func (im *imports) types(source string) error {
	file, err := parser.ParseFile(im.fset, "block.go", source, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	var all []error
	conf := types.Config{Importer: im.importer, Error: func(err error) {
		var e types.Error
		if errors.As(err, &e) && e.Soft && strings.HasPrefix(e.Msg, "declared and not used") {
			return
		}
		all = append(all, err)
	}}
	conf.Check("p", im.fset, []*ast.File{file}, nil)
	return errors.Join(all...)
}

// imports are the packages that blocks may import, compiled.
type imports struct {
	fset     *token.FileSet
	importer types.Importer
	names    map[string]string // by path
}

func newImports(t *testing.T) *imports {
	cmd := exec.Command("go", append([]string{"list", "-deps", "-export", "-json=ImportPath,Export,Name", "."}, standard()...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	im := &imports{fset: token.NewFileSet(), names: map[string]string{}}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export, Name string }
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath], im.names[p.ImportPath] = p.Export, p.Name
	}
	im.importer = importer.ForCompiler(im.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("imports.go does not import %s", path)
		}
		return os.Open(exports[path])
	})
	return im
}

// standard are the packages of the standard library that blocks may import.
func standard() (paths []string) {
	for _, path := range wellKnown {
		if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
			paths = append(paths, path)
		}
	}
	return append(paths, "flag", "crypto/rand", "net/http/httptest")
}
