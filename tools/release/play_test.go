package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// What a user does after a release, in an empty folder, with the modules as the
// proxy would have them.
func TestReleaseCanBeUsed(t *testing.T) {
	r := open(t, "../..")
	version := r.required()
	order, err := r.order()
	if err != nil {
		t.Fatal(err)
	}
	proxy := t.TempDir()
	for _, m := range order {
		if err := r.pack(proxy, m, version); err != nil {
			t.Fatal(err)
		}
	}
	u := newUser(t, proxy)
	u.run("go", "mod", "init", "example.com/user")

	// The library, by the README's first program.
	u.run("go", "get", r.path()+"@"+version)
	page, err := os.ReadFile(filepath.Join(r.root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	u.dials(firstProgram(t, string(page)))

	// Other libraries resolve, and get the root's module of the same version.
	get := []string{"go", "get"}
	for _, m := range order[1:] {
		get = append(get, m.file.Module.Mod.Path+"@"+version)
	}
	u.run(get...)
	for _, m := range order {
		path := m.file.Module.Mod.Path
		if got := strings.TrimSpace(u.run("go", "list", "-m", path)); got != path+" "+version {
			t.Errorf("the user has %q, and not %s %s", got, path, version)
		}
	}

	// Commands, which have no go.mod of the user around them.
	command := r.path() + "/cmd/wsnotify@"
	for _, query := range []string{version, "latest"} {
		u.run("go", "install", command+query)
		if got, want := u.run(filepath.Join(u.bin, "wsnotify"+exe), "--version"), "wsnotify "+version+"\n"; got != want {
			t.Errorf("go install %s%s: --version says %q, and not %q", command, query, got, want)
		}
	}
}

// pack puts a module into a proxy's folder, as git archive would give it: the
// files of its own folder that are in the repository.
func (r *repo) pack(proxy string, m *goModule, version string) error {
	v := module.Version{Path: m.file.Module.Mod.Path, Version: version}
	escaped, err := module.EscapePath(v.Path)
	if err != nil {
		return err
	}
	list, err := output(filepath.Join(r.root, m.dir), "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	var files []modzip.File
	for name := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(r.root, m.dir, name))
		if err == nil && info.Mode().IsRegular() {
			files = append(files, packed{filepath.Join(r.root, m.dir, name), name})
		}
	}
	if !slices.ContainsFunc(files, func(f modzip.File) bool { return f.Path() == "LICENSE" }) {
		files = append(files, packed{filepath.Join(r.root, "LICENSE"), "LICENSE"}) // as the go command does
	}
	dir := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	archive, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		return err
	}
	if err := errors.Join(modzip.Create(archive, v, files), archive.Close()); err != nil {
		return fmt.Errorf("packing %s: %w", v, err)
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC()})
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(r.root, m.dir, "go.mod"))
	if err != nil {
		return err
	}
	for name, data := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": text} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// packed is a file of a module.
type packed struct{ file, path string }

func (p packed) Path() string                 { return p.path }
func (p packed) Lstat() (os.FileInfo, error)  { return os.Lstat(p.file) }
func (p packed) Open() (io.ReadCloser, error) { return os.Open(p.file) }

var exe = map[bool]string{true: ".exe"}[runtime.GOOS == "windows"]

// user is somebody with an empty folder and an empty cache of modules.
type user struct {
	t        *testing.T
	dir, bin string
	env      []string
}

// newUser returns one who asks proxy first. What else is needed comes from this
// machine's cache of modules, where it is there, and then from its proxy. The
// user's own cache is a folder of its own, so that nothing packed here is ever
// taken for a published version.
func newUser(t *testing.T, proxy string) *user {
	t.Helper()
	known, err := output(".", "go", "env", "GOMODCACHE", "GOPROXY")
	if err != nil {
		t.Fatal(err)
	}
	cache, upstream, _ := strings.Cut(known, "\n")
	url := func(dir string) string { return "file://" + filepath.ToSlash(dir) }
	u := &user{t: t, dir: t.TempDir(), bin: t.TempDir()}
	u.env = append(os.Environ(),
		"GOPROXY="+url(proxy)+","+url(filepath.Join(cache, "cache", "download"))+","+upstream,
		"GOMODCACHE="+t.TempDir(), "GOBIN="+u.bin, "GOWORK=", "GOPRIVATE=", "GONOPROXY=",
		"GOSUMDB=off",                   // it doesn't know what is packed here; the sums of others are held by go.sum
		"GOFLAGS=-modcacherw -trimpath", // to be removed, and to find builds of an earlier run
	)
	return u
}

func (u *user) run(args ...string) string {
	u.t.Helper()
	began := time.Now()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = u.dir, u.env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		u.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	u.t.Logf("%s (%v)", strings.Join(args, " "), time.Since(began).Round(time.Millisecond))
	return string(text)
}

var address = regexp.MustCompile(`"wss?://[^"/]*`)

// dials builds and starts a program, whose servers are here, until it asks for a
// WebSocket.
func (u *user) dials(program string) {
	u.t.Helper()
	asked := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Header.Get("Upgrade"):
		default:
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer srv.Close()
	program = address.ReplaceAllString(program, `"ws`+strings.TrimPrefix(srv.URL, "http"))
	if err := os.WriteFile(filepath.Join(u.dir, "main.go"), []byte(program), 0o644); err != nil {
		u.t.Fatal(err)
	}
	u.run("go", "build", "-o", "program"+exe, ".")
	cmd := exec.Command(filepath.Join(u.dir, "program"+exe))
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, &printed
	if err := cmd.Start(); err != nil {
		u.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case upgrade := <-asked:
		if upgrade != "websocket" {
			u.t.Errorf("the program asks for an upgrade to %q", upgrade)
		}
	case err := <-ended:
		u.t.Fatalf("the program has ended without asking for a WebSocket: %v\n%s\n%s", err, printed.String(), program)
	case <-time.After(30 * time.Second):
		u.t.Errorf("the program has not asked for a WebSocket\n%s", program)
	}
	cmd.Process.Kill()
	<-ended
}

// firstProgram returns the first Go code of a page.
func firstProgram(t *testing.T, page string) string {
	t.Helper()
	_, rest, _ := strings.Cut(page, "\n```go\n")
	code, _, found := strings.Cut(rest, "```")
	if !found || !strings.HasPrefix(code, "package main\n") {
		t.Fatalf("the first Go code of the page is no program:\n%s", code)
	}
	return code
}
