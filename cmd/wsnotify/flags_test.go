package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wsnotify/wsnotify/internal/testkit"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestFlagsOfTheHandshake(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	for _, test := range []struct{ args, name, want string }{
		{"", "User-Agent", userAgent()},
		{"-A tester/1", "User-Agent", "tester/1"},
		{"-H User-Agent:own", "User-Agent", "own"},
		{"-o https://example.com", "Origin", "https://example.com"},
		{"--basic-auth ada:secret:too", "Authorization", "Basic YWRhOnNlY3JldDp0b28="},
		{"", "Sec-WebSocket-Extensions", ""},
		{"--compress", "Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"},
	} {
		before := len(srv.Handshakes())
		c := start(t, nil, append([]string{"listen", srv.URL(), "--timeout", "5s"}, strings.Fields(test.args)...)...)
		if err := srv.WaitHandshakes(within(t), before+1); err != nil {
			t.Fatal(err)
		}
		if got := srv.Handshakes()[before].Header.Get(test.name); got != test.want {
			t.Errorf("%s: %s is %q and not %q", test.args, test.name, got, test.want)
		}
		c.cancel()
		c.wants(t, exitOK)
	}
}

// A variable stands where no flag does.
func TestEnvironment(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	t.Setenv("WSNOTIFY_USER", "eve")
	t.Setenv("WSNOTIFY_HEADER", "X-One: 1\nX-Two: 2\n")
	t.Setenv("WSNOTIFY_BASIC_AUTH", "ada:secret")
	t.Setenv("WSNOTIFY_TIMEOUT", "100ms")
	t.Setenv("WSNOTIFY_EXECUTE", "not a setting")
	c := start(t, nil, "listen", srv.URL())
	c.wants(t, exitOK)
	h := srv.Handshakes()[0]
	if h.User != "eve" || h.Header.Get("X-One") != "1" || h.Header.Get("X-Two") != "2" || h.Header.Get("Authorization") == "" {
		t.Errorf("the handshake was %+v", h)
	}
	token := filepath.Join(t.TempDir(), "token")
	os.WriteFile(token, []byte("t"), 0o600)
	c = start(t, nil, "listen", srv.URL(), "-u", "ada", "--token-file", token)
	c.wants(t, exitOK)
	if h := srv.Handshakes()[1]; h.User != "ada" || h.Header.Get("Authorization") != "Bearer t" {
		t.Errorf("the handshake was %+v", h)
	}
	t.Setenv("WSNOTIFY_TIMEOUT", "5")
	c = start(t, nil, "listen", srv.URL())
	c.wants(t, exitUsage)
	if want := "WSNOTIFY_TIMEOUT=5: expected a time with its unit, such as 5s"; !strings.Contains(c.err.String(), want) {
		t.Errorf("it said %s and not %s", &c.err, want)
	}
}

// A variable makes a flag one that was given; one that is empty, or stands where a flag was given, does not.
func TestFlagsFromTheEnvironment(t *testing.T) {
	t.Setenv("WSNOTIFY_ATTEMPTS", "3")
	t.Setenv("WSNOTIFY_INTERVAL", "")
	t.Setenv("WSNOTIFY_USER", "eve")
	t.Setenv("WSNOTIFY_HEADER", "A: 1\nB: 2\n\n")
	t.Setenv("WSNOTIFY_BASIC_AUTH", "ada:secret")
	t.Setenv("WSNOTIFY_TOKEN_FILE", "token")
	for args, want := range map[string]string{
		"":                     `3 true, 10s false, eve, ["A: 1" "B: 2"], ada:secret, token`,
		"-u ada -H C:3":        `3 true, 10s false, ada, ["C:3"], ada:secret, token`,
		"--token-file another": `3 true, 10s false, eve, ["A: 1" "B: 2"], , another`,
		"--basic-auth b:c":     `3 true, 10s false, eve, ["A: 1" "B: 2"], b:c, `,
	} {
		var o connection
		cmd := &cobra.Command{Use: "x"}
		o.flags(cmd)
		if err := cmd.ParseFlags(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if err := environment(cmd); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%d %v, %v %v, %s, %q, %s, %s", o.attempts, cmd.Flags().Changed("attempts"), o.interval, cmd.Flags().Changed("interval"), o.user, o.headers, o.basicAuth, o.tokenFile)
		if got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
	}
}

// Errors name what is wrong and what would be right, and the help of the
// command at hand.
func TestErrorsForAPerson(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "file")
	os.WriteFile(notPEM, []byte("x"), 0o600)
	made, _ := testkit.CertificateOfNow(t, "localhost")
	certFile, _ := testkit.CertificateFiles(t, made)
	encrypted := notPEM + ".key"
	os.WriteFile(encrypted, []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAEC\n-----END ENCRYPTED PRIVATE KEY-----\n"), 0o600)
	for args, want := range map[string]string{
		"lisen localhost:1":                   `unknown command "lisen"; did you mean "listen"?` + "\nTry: wsnotify --help",
		"send --header nonsense a:1":          `--header "nonsense": expected 'Name: value'`,
		"listen --=x a:1":                     "bad flag syntax: --=x\nTry: wsnotify listen --help\n",
		"gateway":                             `unknown command "gateway"; if it is a host: wsnotify connect gateway`,
		"send --interval 5 a:1":               "--interval 5: expected a time with its unit, such as 5s\nTry: wsnotify send --help",
		"send --interval soon a:1":            "--interval soon: expected a time with its unit, such as 5s, 500ms or 2m",
		"send --interval -1s a:1":             "--interval -1s: expected 0s or more",
		"listen --attempts x a:1":             "--attempts x: expected a whole number such as 6, or -1 for no limit\nTry: wsnotify listen --help",
		"listen --count -1 a:1":               "--count -1: expected a whole number such as 6",
		"listen --heartbeat 0s a:1":           "--heartbeat 0s: expected a time such as 6s, or off",
		"listen --json=perhaps a:1":           "--json perhaps: expected true or false",
		"listen --atempts 3 a:1":              "unknown flag --atempts; did you mean --attempts?",
		"listen -z a:1":                       "unknown flag -z\n",
		"send a:1 -x hello":                   "unknown flag -x: it is a flag of connect, and not of send\n",
		"send a:1 --subscribe b":              "unknown flag --subscribe: it is a flag of connect and listen, and not of send\n",
		"a:1 --filter b":                      "unknown flag --filter: it is a flag of listen, and not of connect\n",
		"serve --unix x":                      "unknown flag --unix: it is a flag of connect, listen and send, and not of serve\n",
		"send a:1 " + notPEM:                  "send takes its lines from the standard input: wsnotify send a:1 <" + notPEM + "\n",
		"listen -0 a:1":                       "wsnotify: --null is of no use without --raw",
		"help nonsense":                       `there is no help for "nonsense"; there is for completion, connect,`,
		"help lisen":                          `there is no help for "lisen"; did you mean "listen"?`,
		"serve --confirm a..b":                `--confirm a..b: expected the name of a field, such as id or meta.id`,
		"send --confirm . a:1":                `--confirm .: expected the name of a field`,
		"serve --refuse no":                   "--refuse no: expected an HTTP status such as 401",
		"connect --header Upgrade:x a:1":      `--header "Upgrade": the handshake sets it by itself`,
		"connect --header A@:x a:1":           `--header: "A@" is not the name of a header field`,
		"connect --cert " + certFile + " a:1": "--cert " + certFile + ": the file has no key; name that of the key with --key",
		"connect --cert " + certFile + " --key " + encrypted + " a:1": "the key is encrypted; expected one without a passphrase",
		"listen --header":                             "--header needs a value: --header 'Name: value'",
		"listen --header nonsense a:1":                `--header "nonsense": expected 'Name: value'`,
		"listen":                                      "listen needs the address of a server",
		"listen a:1 b:1":                              `got 2 arguments; "b:1" is the second`,
		"send a:1 hello":                              `to send "hello": wsnotify connect a:1 -x "hello"`,
		"connect a:1 hello":                           `to send "hello": wsnotify a:1 -x "hello"`,
		"a:1 --attempts x":                            "Try: wsnotify connect --help",
		"serve extra":                                 `serve takes flags alone, and got "extra"`,
		"connect --read-limit lots a:1":               "--read-limit lots: expected a number of bytes such as 65536, 64K or 16M, or -1 for no limit",
		"connect --max-line -1 a:1":                   "--max-line -1: expected a size such as 16M",
		"connect --origin example.com a:1":            "--origin example.com: expected a scheme, as in https://example.com",
		"connect --basic-auth secret a:1":             "--basic-auth: expected user:password",
		"connect --proxy nonsense a:1":                "--proxy: expected a URL such as http://proxy.example:3128",
		"connect --proxy ftp://a:1 a:1":               `--proxy: the scheme is "ftp"; expected http, https or socks5`,
		"connect --cacert /nowhere a:1":               "--cacert: open /nowhere: ",
		"connect --cacert " + notPEM + " a:1":         "expected certificates in PEM",
		"connect --key " + notPEM + " a:1":            "--key needs --cert",
		"connect --cert " + notPEM + " a:1":           "--cert and --key: ",
		"connect --color pink a:1":                    "--color pink: expected auto, always or never",
		"connect --unix /s --proxy http://a:1 a:1":    "--proxy can't be used with a Unix socket",
		"connect ftp://example.com/":                  `the address has the scheme "ftp"; expected ws or wss`,
		"connect --basic-auth a:b --token-file x a:1": "leave one out",
		"listen --raw --json a:1":                     "--raw and --json exclude each other",
		"listen --raw --filter a=b a:1":               "--raw takes no message apart, so that --filter can't be used with it",
		"send --whole --null a:1":                     "--whole and --null exclude each other",
		"connect --resume-field= a:1":                 "--resume-field: the name of the field is empty",
		"listen --count= a:1":                         `--count "": expected a whole number such as 6`,
		"connec a:1":                                  `unknown command "connec"; did you mean "connect"?`,
		"send-all a:1":                                `unknown command "send-all"; if it is a host: wsnotify connect send-all`,
		"lis a:1":                                     `unknown command "lis"; did you mean "listen"?`,
		"a:1 hello":                                   `to send "hello": wsnotify a:1 -x "hello"`,
	} {
		c := start(t, strings.NewReader(""), strings.Fields(args)...)
		c.wants(t, exitUsage)
		if says := c.err.String(); !strings.Contains(says, want) || strings.Contains(says, `\n`) || !strings.Contains(says, "Try: wsnotify") || strings.Contains(says, "secret") && !strings.Contains(args, "hello") {
			t.Errorf("wsnotify %s says %q and not %q", args, says, want)
		}
	}
}

// What a flag is set to is what it shows, in the shortest way that can be typed again.
func TestValuesOfFlags(t *testing.T) {
	var d time.Duration
	var n int
	var bytes int64
	heartbeat, wait := duration{at: &d, least: time.Millisecond, off: true}, duration{at: &d}
	for _, test := range []struct {
		flag        pflag.Value
		typed, want string // "": refused
	}{
		{heartbeat, "off", "off"}, {heartbeat, "none", "off"}, {heartbeat, "-5s", "off"}, {heartbeat, "1ms", "1ms"}, {heartbeat, "90s", "1m30s"},
		{heartbeat, "0s", ""}, {heartbeat, "999us", ""}, {wait, "off", ""}, {wait, "-1ns", ""}, {wait, "0s", "0s"}, {wait, "5", ""},
		{count{at: &n}, "0", "0"}, {count{at: &n}, "7", "7"}, {count{at: &n}, "-1", ""}, {count{at: &n, least: -1}, "-1", "-1"},
		{count{at: &n}, "2147483647", "2147483647"}, {count{at: &n}, "2147483648", ""}, {count{at: &n}, "x", ""},
		{size{&bytes}, "1", "1"}, {size{&bytes}, "1024", "1K"}, {size{&bytes}, "1025", "1025"}, {size{&bytes}, "64k", "64K"}, {size{&bytes}, " 16MiB ", "16M"},
		{size{&bytes}, "2048M", "2G"}, {size{&bytes}, "1024G", "1024G"}, {size{&bytes}, "1025G", ""}, {size{&bytes}, "1099511627776", "1024G"}, {size{&bytes}, "1099511627777", ""},
		{size{&bytes}, "-1", "-1"}, {size{&bytes}, "-1K", "-1"}, {size{&bytes}, "-2", ""}, {size{&bytes}, "1MK", ""}, {size{&bytes}, "0", ""}, {size{&bytes}, "5B", "5"},
	} {
		err := test.flag.Set(test.typed)
		if test.want == "" {
			if err == nil {
				t.Errorf("%q is no error, and shows as %s", test.typed, test.flag)
			}
		} else if got := test.flag.String(); err != nil || got != test.want {
			t.Errorf("%q shows as %s, %v, want %s", test.typed, got, err, test.want)
		}
	}
	for _, unset := range []pflag.Value{duration{}, count{}, size{}, choice{}} { // as pflag asks for the zero value
		if got := unset.String(); got != "" {
			t.Errorf("%T shows as %q", unset, got)
		}
	}
}

// What is wrong with a certificate comes with the flag or the name that helps.
func TestAdviceOnCertificates(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{x509.UnknownAuthorityError{}, "--cacert"},
		{x509.HostnameError{Certificate: new(x509.Certificate), Host: "a"}, "; use a name that the certificate has"},
		{errors.New("x"), ""},
	} {
		if got := tlsAdvice(fmt.Errorf("tls: %w", test.err)); !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
	for alert, want := range map[string]string{
		"certificate required": "name it with --cert", "bad certificate": "does not take the certificate of --cert", "unknown certificate authority": "does not take",
		"unknown certificate": "does not take", "expired certificate": "does not take", "revoked certificate": "does not take", "internal error": "",
	} {
		if got := clientCertificateAdvice(errors.New("wsnotify: remote error: tls: " + alert)); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", alert, got, want)
		}
	}
	c := start(t, nil, "connect", "")
	c.wants(t, exitUsage)
	if says := c.err.String(); !strings.Contains(says, "the address is empty") {
		t.Error(says)
	}
}

// Two letters that changed places are one mistake, as are one more, one less and another one.
func TestDistanceOfWords(t *testing.T) {
	for words, want := range map[[2]string]int{
		{"listen", "listen"}: 0, {"lisen", "listen"}: 1, {"listten", "listen"}: 1, {"lixten", "listen"}: 1, {"lsiten", "listen"}: 1, {"ilsten", "listen"}: 1,
		{"listne", "listen"}: 1, {"sned", "send"}: 1, {"", "send"}: 4, {"send", ""}: 4, {"sedn", "sned"}: 2, {"ca", "abc"}: 3, {"serve", "send"}: 3,
	} {
		if got := distance(words[0], words[1]); got != want {
			t.Errorf("%q: %d, want %d", words, got, want)
		}
	}
	for typed, want := range map[string]string{"lis": "listen", "li": "", "lsiten": "listen", "xyz": "", "snd": "send", "sen": "send"} {
		if got := nearest(typed, []string{"connect", "listen", "send", "serve"}); got != want {
			t.Errorf("%q is taken for %q, want %q", typed, got, want)
		}
	}
}

// accepting is a server that accepts and waits for the close.
func accepting() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err == nil {
			conn.Read(r.Context())
		}
	})
}

func TestCertificates(t *testing.T) {
	cert, pool := testkit.CertificateOfNow(t, "localhost")
	certFile, keyFile := testkit.CertificateFiles(t, cert)
	srv := httptest.NewUnstartedServer(accepting())
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	to := "wss://localhost:" + port + "/"
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--cacert", certFile, "--cert", certFile, "--key", keyFile}, exitOK, ""},
		{[]string{"-k", "--cert", certFile, "--key", keyFile}, exitOK, "warning: the server's certificate is not verified"},
		{[]string{"--cert", certFile, "--key", keyFile}, exitRefused, "name that with --cacert"},
	} {
		c := start(t, strings.NewReader(""), append([]string{"send", to}, test.args...)...)
		c.wants(t, test.code)
		if !strings.Contains(c.err.String(), test.says) {
			t.Errorf("%v: it said %s", test.args, &c.err)
		}
	}
	c := start(t, strings.NewReader(""), "send", to, "--cacert", certFile)
	if code := next(t, c.code); code == exitOK || !strings.Contains(c.err.String(), "the server wants a certificate of this client: name it with --cert\n") {
		t.Errorf("a client without a certificate ends with %d and says %s", code, &c.err)
	}
	made, _ := testkit.CertificateOfNow(t, "localhost")
	other, otherKey := testkit.CertificateFiles(t, made)
	c = start(t, strings.NewReader(""), "send", to, "--cacert", certFile, "--cert", other, "--key", otherKey)
	if code := next(t, c.code); code == exitOK || !strings.Contains(c.err.String(), "the server does not take the certificate of --cert\n") {
		t.Errorf("a client with another certificate ends with %d and says %s", code, &c.err)
	}
}

// The way to a server is that of the flags, and of the environment where they say nothing.
func TestRoutes(t *testing.T) {
	for _, test := range []struct {
		r      route
		socket string
		proxy  string // for ws://example.com
		warns  string
		wrong  string
	}{
		{proxy: "as HTTP_PROXY says"},
		{r: route{insecure: true}, proxy: "as HTTP_PROXY says", warns: "warning: the server's certificate is not verified"},
		{r: route{proxy: "http://ada:secret@a:1"}, proxy: "http://ada:secret@a:1"},
		{r: route{proxy: "https://a:1"}, proxy: "https://a:1"},
		{r: route{proxy: "socks5://a:1"}, proxy: "socks5://a:1"},
		{r: route{proxy: "socks5h://a:1"}, proxy: "socks5h://a:1"},
		{r: route{unix: "/s"}, proxy: "<nil>"},
		{socket: "/s", proxy: "<nil>"},
		{r: route{proxy: "http://a:1"}, socket: "/s", wrong: "--proxy can't be used with a Unix socket"},
		{r: route{proxy: "http://a:1", unix: "/s"}, wrong: "--proxy can't be used with a Unix socket"},
		{r: route{proxy: "ftp://a:1"}, wrong: `--proxy: the scheme is "ftp"; expected http, https or socks5`},
		{r: route{proxy: "a:1"}, wrong: "--proxy: expected a URL such as http://proxy.example:3128"},
		{r: route{proxy: "http://ada:sec%ret@a"}, wrong: "--proxy: expected a URL such as http://proxy.example:3128"},
		{r: route{key: "k"}, wrong: "--key needs --cert, the certificate that the key is for"},
	} {
		for _, test.r.http2 = range []bool{false, true} {
			var warned []string
			c, err := test.r.client(test.socket, func(format string, args ...any) { warned = append(warned, fmt.Sprintf(format, args...)) })
			if test.wrong != "" {
				if err == nil || err.Error() != test.wrong {
					t.Errorf("%+v: %v", test, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			var config *tls.Config
			var proxy func(*http.Request) (*url.URL, error)
			dials := true
			switch transport := c.Transport.(type) {
			case *http.Transport:
				config, proxy = transport.TLSClientConfig, transport.Proxy
				dials = test.r.http2
			case overHTTP2:
				config, proxy = transport.TLSClientConfig, transport.Proxy
				dials = !test.r.http2 || !transport.PriorKnowledge
			}
			got := "<nil>"
			if proxy != nil && test.r.proxy == "" { // which is read once for all tests
				got = "as HTTP_PROXY says"
			} else if proxy != nil {
				req, _ := http.NewRequest("GET", "http://example.com/", nil)
				u, err := proxy(req)
				got = fmt.Sprint(u)
				if err != nil {
					t.Error(err)
				}
			}
			if got != test.proxy || dials || config.InsecureSkipVerify != test.r.insecure || strings.Join(warned, "") != test.warns {
				t.Errorf("%+v: the proxy is %s, %+v, it warns %q", test, got, config, warned)
			}
		}
	}
}

// A proxy that is away is not the server that is.
func TestProxyThatIsAway(t *testing.T) {
	gone := wsnotifytest.NewServer(t)
	gone.Stop()
	srv := wsnotifytest.NewServer(t)
	c := start(t, strings.NewReader(""), "send", srv.URL(), "--proxy", "http://"+gone.Addr())
	c.wants(t, exitGaveUp)
	if want := "no connection: the proxy can't be reached: connection refused; nothing listens at " + gone.Addr() + "\n"; !strings.HasSuffix(c.err.String(), want) {
		t.Errorf("it said %q and not %q", &c.err, want)
	}
}

func TestUnixSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Skip(err)
	}
	paths := make(chan string, 2)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths <- r.Host + r.RequestURI
		accepting().ServeHTTP(w, r)
	})}
	go srv.Serve(listener)
	defer srv.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	for args, want := range map[string]string{
		"ws+unix:" + socket + ":/events?a=b":         "localhost/events?a=b",
		"--unix " + socket + " ws://example.com/ws/": "example.com/ws/",
	} {
		c := start(t, strings.NewReader(""), append([]string{"send"}, strings.Fields(args)...)...)
		c.wants(t, exitOK)
		if got := next(t, paths); got != want {
			t.Errorf("%s asks for %s and not %s", args, got, want)
		}
	}
}
