package h2

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSuitesOverHTTP2 runs suites of the client whose connections are streams:
// between the client and what a test plays as a server there are a Transport and
// a gateway in memory. testdata/suites has that, and a part of internal/harness
// is made of it for these runs.
func TestSuitesOverHTTP2(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes a minute to compile them")
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	own, err := filepath.Abs("testdata/suites/over_h2.go")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(root, "internal/harness/over_h2.go"): own},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	const module = "github.com/wsnotify/wsnotify"
	for _, suite := range []struct {
		folder string
		skip   []string // with why
	}{
		{"tests/conformance", []string{
			"FuzzHandshake", // the bytes of HTTP/1.1
		}},
		{"tests/hostile", []string{
			"TestFailuresPage",
			"TestHostileServers/answers_100_Continue,_each_second", // which the gateway takes for the end
			// A stream's windows and the gateway take what a socket without buffers does not.
			"TestHostileServers/closes,_having_read_nothing",
			"TestHostileServers/reads_no_more$",
			"TestHostileServers/sends_pings_and_reads_no_pongs",
		}},
		{"tests/leaks", nil},
		{"tests/model", nil},
		{"tests/soak", nil},
		{"tests/whatwg", []string{
			"TestStatesAreThoseOfABrowser/handshake_200",              // accepts a stream
			"TestStatesAreThoseOfABrowser/handshake_wrong_accept_key", // HTTP/2 has none
		}},
		{".", []string{
			// The gateway can't tell the client what it saw at its own dial, and some of
			// it is no error over HTTP/2: a 200, a wrong accept key.
			"TestContextErrorSaysWhyThereWasNoConnection", "TestFailFast$", "TestDialTimeoutLimitsAWrongKey", "TestGarbageInsteadOfAResponseIsRemote",
			"TestFullInboxStopsTheReader", // of which windows and gateway take all
		}},
	} {
		t.Run(suite.folder, func(t *testing.T) {
			path := module
			if suite.folder != "." {
				path += "/" + suite.folder
			}
			run := "."
			if suite.folder == "." {
				run = testsOf(t, root, "client", "close", "drain", "state", "heartbeat", "reconnect", "request", "conn", "iter", "message", "handle", "inbox", "callback", "policy")
			}
			args := []string{"test", "-count=1", "-short", "-timeout=4m", "-overlay=" + file, "-run=" + run}
			if len(suite.skip) > 0 {
				args = append(args, "-skip="+strings.Join(suite.skip, "|"))
			}
			cmd := exec.Command("go", append(args, path)...)
			cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// testsOf names the tests in files of the root.
func testsOf(t *testing.T, root string, files ...string) string {
	var names []string
	for _, file := range files {
		source, err := os.ReadFile(filepath.Join(root, file+"_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(source, -1) {
			names = append(names, string(match[1]))
		}
	}
	return "^(" + strings.Join(names, "|") + ")$"
}
