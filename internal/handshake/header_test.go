package handshake

import (
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wantError fails unless err has the text want; "" wants none.
func wantError(t *testing.T, of any, err error, want string) {
	t.Helper()
	if got := "<nil>"; err != nil || want != "" {
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %s, want %s", of, got, want)
		}
	}
}

// A token of RFC 9110 is made of these, and is not empty.
const tokenBytes = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func TestCheckSubprotocols(t *testing.T) {
	const noToken = "[0] is not a token of RFC 9110: it is empty, or has a space, a comma or the like in it"
	wantError(t, "none", CheckSubprotocols(nil), "")
	wantError(t, "two", CheckSubprotocols([]string{"chat", "Chat"}), "")
	wantError(t, "twice", CheckSubprotocols([]string{"chat", "b", "chat"}), "[2] is there twice, as [0] too")
	wantError(t, "empty", CheckSubprotocols([]string{""}), noToken)
	for c := range rune(0x180) {
		want := noToken
		if strings.ContainsRune(tokenBytes, c) {
			want = ""
		}
		wantError(t, c, CheckSubprotocols([]string{string(c)}), want)
	}
}

// Names are spelled as net/http does; of two spellings with the same values one is dropped.
func TestCanonicalHeader(t *testing.T) {
	if CanonicalHeader(nil) != nil {
		t.Error("no header became one")
	}
	values := []string{"1", "2"}
	h := http.Header{"x-a": values, "X-B": values, "x-b": values, "X-C": {"1"}, "x-c": {"2"}, "Host": values}
	got := CanonicalHeader(h)
	want := http.Header{"X-A": values, "X-B": values, "X-C": {"1"}, "x-c": {"2"}, "Host": values}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range 20 { // in no order
		h := http.Header{"x-A": {"1"}, "x-a": {"2"}, "XA-b": {"3"}, "Xa-B": {"4"}}
		want := http.Header{"X-A": {"1"}, "x-a": {"2"}, "XA-b": {"3"}, "Xa-B": {"4"}}
		if got := CanonicalHeader(h); !reflect.DeepEqual(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
	for _, v := range got {
		v[0] = "changed"
	}
	if values[0] != "1" {
		t.Error("it is no copy")
	}
}

func TestCheckHeader(t *testing.T) {
	for _, test := range []struct {
		h    http.Header
		want string
	}{
		{nil, ""},
		{http.Header{"X-A": {"a\tb c", "", "ü"}, "Host": {"h"}, "Sec-Fetch-Mode": {"websocket"}}, ""},
		{http.Header{"": {"a"}}, `"" is not the name of a header field`},
		{http.Header{"X A": {"a"}}, `"X A" is not the name of a header field`},
		{http.Header{"x-a": {"a"}}, `"X-A" and "x-a" are one field, and have different values`},
		{http.Header{"Sec-Websocket-Protocol": nil}, "Sec-Websocket-Protocol is set by the transport; use Config.Subprotocols and Config.Compression"},
		{http.Header{"Connection": {"a"}}, "Connection is set by the transport"},
		{http.Header{"Upgrade": {"a"}}, "Upgrade is set by the transport"},
		{http.Header{"X-A": {"a", "secret\n"}}, "the value of X-A holds a control character"},
		{http.Header{"X-A": {"\x1f"}}, "the value of X-A holds a control character"},
		{http.Header{"X-A": {"\x7f"}}, "the value of X-A holds a control character"},
	} {
		wantError(t, test.h, CheckHeader(test.h), test.want)
	}
}

func TestErrorOfAProxy(t *testing.T) {
	for status, want := range map[int]string{
		407: "the proxy answered CONNECT with 407 Proxy Authentication Required; set user and password in its url",
		502: "the proxy answered CONNECT with 502 Bad Gateway",
	} {
		if got := (&ProxyError{&http.Response{StatusCode: status}}).Error(); got != want {
			t.Errorf("%q", got)
		}
	}
}

// What may be a token of somebody does not get into a recording.
func TestRedactedHeader(t *testing.T) {
	if RedactedHeader(http.Header{}, strings.ToUpper) != nil {
		t.Error("no header became one")
	}
	got := RedactedHeader(http.Header{"Server": {"a", "b"}, "content-type": {"c"}, "X-Token": {"d", "e"}, "Cookie": {"f"}, "X-Empty": nil}, strings.ToUpper)
	if want := (http.Header{"Server": {"A", "B"}, "content-type": {"C"}, "X-Token": {"xxxxx", "xxxxx"}, "Cookie": {"xxxxx"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", slices.Sorted(maps.Keys(got)), want)
	}
}

// What a refusal says: the beginning of its body, as far as that tells more than the status, and what to do.
func TestRefusal(t *testing.T) {
	const path = "check the path of the url"
	for _, test := range []struct {
		status int
		body   string
		want   string
	}{
		{500, "", "the server refused the handshake"},
		{500, "internal server error", "the server refused the handshake"},
		{500, " 500 Internal Server Error\n", "the server refused the handshake"},
		{500, "\n out of \"disk\" \r\nmore", `its body says "out of "disk""`},
		{500, "<html><title> No </title><title>x</title>", `its body says "No"`},
		{500, "<HTML><Title>a\nb</TITLE>", `its body says "a"`},
		{500, "<!doctype html>\n<title>a page</title>", `its body says "a page"`},
		{500, "<html></title><title>", "the server refused the handshake"},
		{500, "<html><title>", "the server refused the handshake"},
		{500, "<html>\u212a<title>a</title>", "the server refused the handshake"}, // the Kelvin sign is shorter in lower case
		{500, "no <html><title>a</title>", `its body says "no <html><title>a</title>"`},
		{500, strings.Repeat("x", 200), `its body says "` + strings.Repeat("x", 200) + `"`},
		{500, strings.Repeat("x", 201), `its body says "` + strings.Repeat("x", 200) + `…"`},
		{500, "for hunter2 only", `its body says "for xxxxx only"`},
		{400, "", path + ", and whether a proxy removed the Upgrade header"},
		{400, "Client sent an HTTP request to an HTTPS server.", `its body says "Client sent an HTTP request to an HTTPS server."; wss:// to a port that speaks TLS: try ws://`},
		{400, "<html>plain HTTP request was sent to HTTPS port", "wss:// to a port that speaks TLS: try ws://"},
		{400, "<html>You're speaking plain HTTP to an SSL-enabled server port.", "wss:// to a port that speaks TLS: try ws://"},
		{404, "<html>plain HTTP request was sent to HTTPS port", path},
		{200, "", "the url is a web page and not a WebSocket: check its path, and whether a proxy removed the Upgrade header"},
		{299, "", "the url is a web page and not a WebSocket: check its path, and whether a proxy removed the Upgrade header"},
		{401, "", "credentials are missing or have expired; BeforeDial can set new ones for each attempt"},
		{403, "", "check the credentials, and whether the server wants an Origin"},
		{404, "", path}, {405, "", path}, {406, "", path}, {410, "", path}, {501, "", path},
		{407, "", "set user and password in the proxy's url"},
		{426, "", "the server speaks another protocol or version there: check the path of the url"},
		{502, "", "a proxy does not reach the server"}, {504, "", "a proxy does not reach the server"},
		{300, "", "redirects are not followed, and this one has no Location"},
		{399, "", "redirects are not followed, and this one has no Location"},
		{199, "", "the server refused the handshake"},
	} {
		u := &url.URL{Scheme: "WSS", Host: "h", RawQuery: "token=hunter2"}
		r := &Request{URL: u, Secrets: NewSecrets(u, nil, nil)}
		wantError(t, test.body, r.Refusal(&http.Response{StatusCode: test.status}, []byte(test.body)), test.want)
	}
	r := &Request{URL: &url.URL{Scheme: "ws", Host: "h", Path: "/a/b"}}
	packed := &http.Response{StatusCode: 500, Header: http.Header{"Content-Encoding": {"gzip"}}}
	wantError(t, "packed", r.Refusal(packed, []byte("\x1f\x8b")), "the server refused the handshake")
	for location, want := range map[string]string{
		"../c?token=secret#part":       "; if ws://h/c?token=xxxxx is the WebSocket's address, use that",
		"http://[::1":                  ", and the Location of this one is not a URL",
		"/" + strings.Repeat("x", 300): "; if ws://h/" + strings.Repeat("x", 193) + "… is the WebSocket's address, use that",
	} {
		moved := &http.Response{StatusCode: 302, Header: http.Header{"Location": {location}}}
		wantError(t, location, r.Refusal(moved, nil), "redirects are not followed"+want)
	}
}

// An error of a dial is shown without the address that net/http puts into it, and without secrets, and goes on being
// what it is.
func TestDialling(t *testing.T) {
	u := &url.URL{Scheme: "ws", Host: "h", RawQuery: "token=hunter2"}
	r := &Request{URL: u, Secrets: NewSecrets(u, nil, nil)}
	inner := http.ErrSchemeMismatch
	err := r.Dialling(&url.Error{Op: "Get", URL: "ws://h?token=hunter2", Err: inner})
	wantError(t, inner, err, inner.Error()+"; ws:// to a port that speaks plain HTTP: try wss://")
	if !reflect.DeepEqual(err, &advisedError{inner, "ws:// to a port that speaks plain HTTP: try wss://"}) || err.(*advisedError).Unwrap() != inner {
		t.Errorf("%#v", err)
	}
	wantError(t, "other", r.Dialling(&url.Error{Op: "Get", URL: "x", Err: &ProxyError{&http.Response{StatusCode: 403}}}), "the proxy answered CONNECT with 403 Forbidden")
}
