package extension

import (
	"reflect"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/internal/deflate"
)

func TestOffer(t *testing.T) {
	for want, o := range map[string]Offer{
		"permessage-deflate; client_max_window_bits":                                                                                     {15, true},
		"permessage-deflate; client_max_window_bits=12; server_max_window_bits=12":                                                       {12, true},
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits":                             {15, false},
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover; client_max_window_bits=9; server_max_window_bits=9": {9, false},
	} {
		if got := o.String(); got != want {
			t.Errorf("%+v: %q", o, got)
		}
	}
}

// Every answer that RFC 7692, 7.1, allows for the offer is taken as it says, and no
// other.
func TestAgree(t *testing.T) {
	const p = "permessage-deflate"
	all, twelve, alone := &Offer{15, true}, &Offer{12, true}, &Offer{15, false}
	both := Params{15, 15, true, true}
	const (
		syntax  = "it is not a list of extensions and their parameters"
		several = "it has several extensions, and one was offered"
		other   = "it has an extension that was not offered; permessage-deflate was"
		unknown = "it has a parameter that permessage-deflate does not have"
		server  = "its parameter server_max_window_bits must be a number from 8 to 15"
		client  = "its parameter client_max_window_bits must be a number from 8 to 15"
	)
	for _, test := range []struct {
		offer  *Offer
		answer string
		want   Params
		err    string // why it is refused
	}{
		{all, p, both, ""},
		{all, " \t" + p + "\t ", both, ""},
		{all, p + ",", both, ""},
		{all, ", ," + p + " , ", both, ""},
		{all, p + "; server_no_context_takeover", Params{15, 15, false, true}, ""},
		{all, p + ";client_no_context_takeover", Params{15, 15, true, false}, ""},
		{all, p + " ; client_no_context_takeover ; server_no_context_takeover", Params{15, 15, false, false}, ""},
		{all, p + "; server_max_window_bits=15; client_max_window_bits=15", both, ""},
		{all, p + "; server_max_window_bits=8; client_max_window_bits=8", Params{8, 8, true, true}, ""},
		{all, p + "; client_max_window_bits=10; server_max_window_bits=9", Params{9, 10, true, true}, ""},
		{all, p + `; server_max_window_bits="10"`, Params{10, 15, true, true}, ""},
		{all, p + `; server_max_window_bits="1\0"`, Params{10, 15, true, true}, ""},
		{all, p + `; server_max_window_bits = 10`, Params{10, 15, true, true}, ""},
		{all, p + "\t;\tserver_max_window_bits\t=\t\"10\"\t", Params{10, 15, true, true}, ""},
		{alone, p, Params{15, 15, true, false}, ""},
		{alone, p + "; server_no_context_takeover", Params{15, 15, false, false}, ""},
		{alone, p + "; server_no_context_takeover; client_no_context_takeover", Params{15, 15, false, false}, ""},
		{twelve, p + "; server_max_window_bits=12", Params{12, 12, true, true}, ""},
		{twelve, p + "; server_max_window_bits=8", Params{8, 12, true, true}, ""},
		{twelve, p + "; server_max_window_bits=10; client_max_window_bits=9", Params{10, 9, true, true}, ""},

		{offer: all, answer: "permessage-bzip2", err: other},
		{offer: all, answer: "Permessage-Deflate", err: other},
		{offer: all, answer: p + ", " + p, err: several},
		{offer: all, answer: p + ", x-other", err: several},
		{offer: all, answer: "x-other, " + p, err: several},
		{offer: all, answer: p + ";", err: syntax},
		{offer: all, answer: p + "; ;", err: syntax},
		{offer: all, answer: p + "; unknown", err: unknown},
		{offer: all, answer: p + "; Server_No_Context_Takeover", err: unknown},
		{offer: all, answer: p + " server_no_context_takeover", err: syntax},
		{offer: all, answer: "; server_no_context_takeover", err: syntax},
		{offer: all, answer: p + "=1", err: syntax},
		{offer: all, answer: p + "; server_no_context_takeover; server_no_context_takeover", err: "it has the parameter server_no_context_takeover twice"},
		{offer: all, answer: p + "; server_max_window_bits=10; server_max_window_bits=10", err: "it has the parameter server_max_window_bits twice"},
		{offer: all, answer: p + "; client_max_window_bits=10; client_max_window_bits=11", err: "it has the parameter client_max_window_bits twice"},
		{offer: all, answer: p + "; server_no_context_takeover=true", err: "its parameter server_no_context_takeover has a value, and takes none"},
		{offer: all, answer: p + "; client_no_context_takeover=true", err: "its parameter client_no_context_takeover has a value, and takes none"},
		{offer: all, answer: p + `; client_no_context_takeover=""`, err: syntax},
		{offer: all, answer: p + "; client_no_context_takeover=", err: syntax},
		{offer: all, answer: p + "; server_max_window_bits", err: server},
		{offer: all, answer: p + "; client_max_window_bits", err: client},
		{offer: all, answer: p + "; client_max_window_bits=", err: syntax},
		{offer: all, answer: p + `; client_max_window_bits=""`, err: syntax},
		{offer: all, answer: p + "; server_max_window_bits=7", err: server},
		{offer: all, answer: p + "; server_max_window_bits=16", err: server},
		{offer: all, answer: p + "; server_max_window_bits=0", err: server},
		{offer: all, answer: p + "; server_max_window_bits=010", err: server},
		{offer: all, answer: p + "; server_max_window_bits=08", err: server},
		{offer: all, answer: p + "; server_max_window_bits=+9", err: server},
		{offer: all, answer: p + "; server_max_window_bits=1e1", err: server},
		{offer: all, answer: p + "; server_max_window_bits=10.0", err: server},
		{offer: all, answer: p + "; server_max_window_bits=-9", err: server},
		{offer: all, answer: p + "; server_max_window_bits=99999999999999999999", err: server},
		{offer: all, answer: p + `; server_max_window_bits="10`, err: syntax},
		{offer: all, answer: p + `; server_max_window_bits=10"`, err: syntax},
		{offer: all, answer: p + `; server_max_window_bits="10\`, err: syntax},
		{offer: all, answer: p + `; server_max_window_bits=" 10"`, err: syntax},
		{offer: all, answer: p + `; server_max_window_bits="10" 3`, err: syntax},
		{offer: all, answer: p + "; server_max_window_bits='10'", err: server},
		{offer: all, answer: p + "; größe=1", err: syntax},
		{offer: all, answer: p + "\x00", err: syntax},
		{offer: all, answer: p + "; server_max_window_bits=10, " + p, err: several},
		{offer: twelve, answer: p, err: "it has no server_max_window_bits, and 12 was offered"},
		{offer: twelve, answer: p + "; client_max_window_bits=12", err: "it has no server_max_window_bits, and 12 was offered"},
		{offer: twelve, answer: p + "; server_max_window_bits=13", err: "its parameter server_max_window_bits must be a number from 8 to 12"},
		{offer: twelve, answer: p + "; server_max_window_bits=12; client_max_window_bits=13", err: "its parameter client_max_window_bits must be a number from 8 to 12"},
		{offer: nil, answer: p, err: "no extension was offered"},
	} {
		got, err := test.offer.Agree([]string{test.answer})
		switch {
		case test.err != "" && (err == nil || err.Error() != test.err || got != nil):
			t.Errorf("%v and the answer %q: %+v, %v", test.offer, test.answer, got, err)
		case test.err == "" && (err != nil || *got != test.want):
			t.Errorf("%v and the answer %q: %+v, %v", test.offer, test.answer, got, err)
		}
	}
	for _, answer := range [][]string{nil, {}, {""}, {" , "}, {"", ","}} { // no extension
		if got, err := all.Agree(answer); got != nil || err != nil {
			t.Errorf("%q: %+v, %v", answer, got, err)
		}
		if got, err := (*Offer)(nil).Agree(answer); got != nil || err != nil {
			t.Errorf("%q: %+v, %v", answer, got, err)
		}
	}
	if got, err := all.Agree([]string{p, ""}); err != nil || *got != both {
		t.Errorf("in two headers, one empty: %+v, %v", got, err)
	}
	for c := range byte(0x80) { // what RFC 9110, section 5.6.2, takes for a token
		token := strings.IndexByte("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c) >= 0
		if token != isTokenByte(c) || isTokenByte(c|0x80) {
			t.Errorf("%q is of a token: %v", c, !token)
		}
	}
	if got, err := all.Agree([]string{p, p}); err == nil {
		t.Errorf("in two headers: %+v", got)
	}
}

// A server takes the first offer that it can keep to, and answers with what binds
// both sides.
func TestAccept(t *testing.T) {
	const p = "permessage-deflate"
	for offers, want := range map[string]string{
		"":                             "",
		p:                              p,
		"x-webkit-deflate-frame":       "",
		p + "; unknown":                "",
		p + "; unknown, " + p:          p,
		p + "; client_max_window_bits": p,
		p + "; client_max_window_bits; client_max_window_bits":                  "",
		p + "; server_max_window_bits":                                          "",
		p + "; server_max_window_bits=7, " + p + "; server_max_window_bits=9":   p + "; server_max_window_bits=9",
		p + "; server_max_window_bits=15; client_max_window_bits=9, mux; max=4": p + "; client_max_window_bits=9; server_max_window_bits=15",
		p + "; client_no_context_takeover; server_no_context_takeover":          p + "; server_no_context_takeover; client_no_context_takeover",
		p + "; server_no_context_takeover=1":                                    "",
		p + "; client_no_context_takeover=1":                                    "",
		p + `; server_max_window_bits="12"`:                                     p + "; server_max_window_bits=12",
		p + "; server_max_window_bits=10; server_max_window_bits=10":            "",
		"/": "",
		// A header that is malformed somewhere says nothing that can be relied on.
		"x; y=, " + p:       "",
		`x; y="", ` + p:     "",
		`x; y="a b", ` + p:  "",
		`x; y="` + p:        "",
		"x; y; y, " + p:     "",
		"x; , " + p:         "",
		"x y, " + p:         "",
		p + ", x; y=":       "",
		p + `, x; y="a`:     "",
		`x; y="a\ b", ` + p: "",
	} {
		if _, got := Accept([]string{offers}); got != want {
			t.Errorf("%q: %q, want %q", offers, got, want)
		}
	}
}

// Each side decompresses with the window of the other, and compresses with its own. zlib can't do 8 bits and
// takes 9, so a peer that agreed to 8 is allowed 9.
func TestWindowsOfBothSides(t *testing.T) {
	for _, takeover := range []bool{false, true} {
		p := &Params{ServerWindow: 8, ClientWindow: 12, ServerTakeover: takeover, ClientTakeover: !takeover}
		in, out := p.Client()
		if !reflect.DeepEqual(in, deflate.NewInflater(512, takeover)) || !reflect.DeepEqual(out, deflate.NewDeflater(4096, !takeover)) {
			t.Errorf("%v: a client has %+v and %+v", p, in, out)
		}
		in, out = p.Server()
		if !reflect.DeepEqual(in, deflate.NewInflater(4096, !takeover)) || !reflect.DeepEqual(out, deflate.NewDeflater(256, takeover)) {
			t.Errorf("%v: a server has %+v and %+v", p, in, out)
		}
	}
}

// Every client of this package and every server of it understand each other.
func TestBothSidesAgree(t *testing.T) {
	for window := 9; window <= 15; window++ {
		for _, takeover := range []bool{true, false} {
			o := &Offer{window, takeover}
			server, answer := Accept([]string{o.String()})
			client, err := o.Agree([]string{answer})
			if err != nil || *client != *server || client.ServerWindow != window || client.ClientWindow != window || client.ClientTakeover != takeover || client.ServerTakeover != takeover {
				t.Errorf("%v: %+v and %+v, %v", o, client, server, err)
				continue
			}
			in, out := client.Client()
			serverIn, serverOut := server.Server()
			for _, text := range []string{"some text", "some text again", strings.Repeat("and more of it, ", 5000), ""} {
				small := out.Deflate(nil, []byte(text), true)
				got, err := serverIn.Inflate(nil, small, 1<<20)
				if err != nil || string(got) != text {
					t.Fatalf("%v: %d bytes arrived as %d: %v", o, len(text), len(got), err)
				}
				got, err = in.Inflate(nil, serverOut.Deflate(nil, got, true), 1<<20)
				if err != nil || string(got) != text {
					t.Fatalf("%v: %d bytes came back as %d: %v", o, len(text), len(got), err)
				}
			}
		}
	}
}

// Whatever a peer sends, what is agreed on is within what was offered, and what a
// server answers is an answer that the client takes.
func FuzzNegotiation(f *testing.F) {
	for _, s := range []string{
		"permessage-deflate", `permessage-deflate; server_max_window_bits="10"; client_max_window_bits=12`,
		"permessage-deflate; client_no_context_takeover, x; y=\"a\\b\"", "permessage-deflate;server_no_context_takeover;",
	} {
		f.Add(s, "", uint8(12), true)
		f.Add(",", s, uint8(15), false)
	}
	f.Fuzz(func(t *testing.T, first, second string, window uint8, takeover bool) {
		o := &Offer{9 + int(window%7), takeover}
		values := []string{first, second}
		p, err := o.Agree(values)
		if p != nil && (err != nil || p.ServerWindow < 8 || p.ServerWindow > o.Window || p.ClientWindow < 8 || p.ClientWindow > o.Window || p.ClientTakeover && !takeover) {
			t.Errorf("%q for %v: %+v, %v", values, o, p, err)
		}
		if p != nil {
			// Its own words say the same, up to what needs no words.
			again, err := o.Agree([]string{p.String()})
			if o.Window == MaxWindow && (err != nil || *again != *p) {
				t.Errorf("%q: %+v, and by its own words %+v, %v", values, p, again, err)
			}
		}
		if server, answer := Accept(values); server != nil {
			if client, err := (&Offer{15, true}).Agree([]string{answer}); err != nil || *client != *server {
				t.Errorf("%q: the answer %q: %+v, %v", values, answer, client, err)
			}
		}
	})
}
