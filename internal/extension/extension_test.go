package extension

import (
	"strings"
	"testing"
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
	for _, test := range []struct {
		offer  *Offer
		answer string
		want   Params // zero: refused
	}{
		{all, p, both},
		{all, " \t" + p + "\t ", both},
		{all, p + ",", both},
		{all, ", ," + p + " , ", both},
		{all, p + "; server_no_context_takeover", Params{15, 15, false, true}},
		{all, p + ";client_no_context_takeover", Params{15, 15, true, false}},
		{all, p + " ; client_no_context_takeover ; server_no_context_takeover", Params{15, 15, false, false}},
		{all, p + "; server_max_window_bits=15; client_max_window_bits=15", both},
		{all, p + "; server_max_window_bits=8; client_max_window_bits=8", Params{8, 8, true, true}},
		{all, p + "; client_max_window_bits=10; server_max_window_bits=9", Params{9, 10, true, true}},
		{all, p + `; server_max_window_bits="10"`, Params{10, 15, true, true}},
		{all, p + `; server_max_window_bits="1\0"`, Params{10, 15, true, true}},
		{all, p + `; server_max_window_bits = 10`, Params{10, 15, true, true}},
		{all, p + "\t;\tserver_max_window_bits\t=\t\"10\"\t", Params{10, 15, true, true}},
		{alone, p, Params{15, 15, true, false}},
		{alone, p + "; server_no_context_takeover", Params{15, 15, false, false}},
		{alone, p + "; server_no_context_takeover; client_no_context_takeover", Params{15, 15, false, false}},
		{twelve, p + "; server_max_window_bits=12", Params{12, 12, true, true}},
		{twelve, p + "; server_max_window_bits=8", Params{8, 12, true, true}},
		{twelve, p + "; server_max_window_bits=10; client_max_window_bits=9", Params{10, 9, true, true}},

		{offer: all, answer: "permessage-bzip2"},
		{offer: all, answer: "Permessage-Deflate"},
		{offer: all, answer: p + ", " + p},
		{offer: all, answer: p + ", x-other"},
		{offer: all, answer: "x-other, " + p},
		{offer: all, answer: p + ";"},
		{offer: all, answer: p + "; ;"},
		{offer: all, answer: p + "; unknown"},
		{offer: all, answer: p + "; Server_No_Context_Takeover"},
		{offer: all, answer: p + " server_no_context_takeover"},
		{offer: all, answer: "; server_no_context_takeover"},
		{offer: all, answer: p + "=1"},
		{offer: all, answer: p + "; server_no_context_takeover; server_no_context_takeover"},
		{offer: all, answer: p + "; server_max_window_bits=10; server_max_window_bits=10"},
		{offer: all, answer: p + "; client_max_window_bits=10; client_max_window_bits=11"},
		{offer: all, answer: p + "; server_no_context_takeover=true"},
		{offer: all, answer: p + `; client_no_context_takeover=""`},
		{offer: all, answer: p + "; client_no_context_takeover="},
		{offer: all, answer: p + "; server_max_window_bits"},
		{offer: all, answer: p + "; client_max_window_bits"},
		{offer: all, answer: p + "; client_max_window_bits="},
		{offer: all, answer: p + `; client_max_window_bits=""`},
		{offer: all, answer: p + "; server_max_window_bits=7"},
		{offer: all, answer: p + "; server_max_window_bits=16"},
		{offer: all, answer: p + "; server_max_window_bits=0"},
		{offer: all, answer: p + "; server_max_window_bits=010"},
		{offer: all, answer: p + "; server_max_window_bits=08"},
		{offer: all, answer: p + "; server_max_window_bits=+9"},
		{offer: all, answer: p + "; server_max_window_bits=1e1"},
		{offer: all, answer: p + "; server_max_window_bits=10.0"},
		{offer: all, answer: p + "; server_max_window_bits=-9"},
		{offer: all, answer: p + "; server_max_window_bits=99999999999999999999"},
		{offer: all, answer: p + `; server_max_window_bits="10`},
		{offer: all, answer: p + `; server_max_window_bits=10"`},
		{offer: all, answer: p + `; server_max_window_bits="10\`},
		{offer: all, answer: p + `; server_max_window_bits=" 10"`},
		{offer: all, answer: p + `; server_max_window_bits="10" 3`},
		{offer: all, answer: p + "; server_max_window_bits='10'"},
		{offer: all, answer: p + "; größe=1"},
		{offer: all, answer: p + "\x00"},
		{offer: all, answer: p + "; server_max_window_bits=10, " + p},
		{offer: twelve, answer: p},
		{offer: twelve, answer: p + "; client_max_window_bits=12"},
		{offer: twelve, answer: p + "; server_max_window_bits=13"},
		{offer: twelve, answer: p + "; server_max_window_bits=12; client_max_window_bits=13"},
		{offer: nil, answer: p},
	} {
		got, err := test.offer.Agree([]string{test.answer})
		switch {
		case test.want == Params{} && (err == nil || got != nil):
			t.Errorf("%v and the answer %q: %+v", test.offer, test.answer, got)
		case test.want != Params{} && (err != nil || *got != test.want):
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
