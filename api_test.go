package wsnotify_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// TestPublicAPI compares the exported declarations of every package that can
// be imported, those of the nested modules too, with the testdata/api.txt
// beside it, so that no change to them is an accident:
//
//	go test -run PublicAPI -update .
func TestPublicAPI(t *testing.T) {
	packages := publicPackages(t)
	for _, dir := range []string{".", "wsnotifytest", "prom", "otel"} {
		if packages[dir] == nil {
			t.Errorf("there is no package in %s", dir)
		}
	}
	for dir, files := range packages {
		t.Run(dir, func(t *testing.T) {
			golden := filepath.Join(dir, "testdata", "api.txt")
			got := exportedDeclarations(t, dir, files)
			if *update && len(got) > 0 {
				if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if errors.Is(err, fs.ErrNotExist) && len(got) == 0 {
				return // a folder of tests
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the public API has changed; if it was meant to, run this test with -update and look at the diff of %s", golden)
			}
		})
	}
}

// publicPackages returns the source files of the packages that others can
// import, by folder.
func publicPackages(t *testing.T) map[string][]string {
	t.Helper()
	packages := map[string][]string{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(filepath.ToSlash(name))
		if entry.IsDir() {
			hidden := len(base) > 1 && (base[0] == '.' || base[0] == '_')
			if hidden || slices.Contains([]string{"testdata", "internal", "node_modules", "examples"}, base) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || strings.HasSuffix(base, "_test.go") || strings.HasSuffix(base, "_js.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		if f.Name.Name != "main" {
			dir := filepath.ToSlash(filepath.Dir(name))
			packages[dir] = append(packages[dir], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return packages
}

// exportedDeclarations prints those of a package, without bodies and comments.
func exportedDeclarations(t *testing.T, dir string, names []string) []byte {
	t.Helper()
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	pkg, err := doc.NewFromFiles(fset, files, path.Join("github.com/wsnotify/wsnotify", dir))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	show := func(decl ast.Decl) {
		if f, ok := decl.(*ast.FuncDecl); ok {
			f.Body = nil
		}
		if err := printer.Fprint(&got, fset, decl); err != nil {
			t.Fatal(err)
		}
		got.WriteString("\n\n")
	}
	values := func(list []*doc.Value) {
		for _, v := range list {
			show(v.Decl)
		}
	}
	funcs := func(list []*doc.Func) {
		for _, f := range list {
			show(f.Decl)
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	funcs(pkg.Funcs)
	for _, typ := range pkg.Types {
		show(typ.Decl)
		values(typ.Consts)
		values(typ.Vars)
		funcs(typ.Funcs)
		funcs(typ.Methods)
	}
	if dir != "." && got.Len() > 0 { // the name is not always the folder's
		return append(fmt.Appendf(nil, "package %s\n\n", pkg.Name), got.Bytes()...)
	}
	return got.Bytes()
}
