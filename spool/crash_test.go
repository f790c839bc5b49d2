package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const sector = 512

// The states that a power cut can leave, as docs/spool.md lists them: any part of
// the new pages in any sectors, with the old meta page; all of them, with the
// meta page old, torn or new. Each opens with what was there before the commit,
// or after it.
func TestEveryStateOfACrash(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spool")
	rnd := rand.New(rand.NewPCG(1, 2))
	s := openAt(t, path, Options{})
	read := func() ([]byte, []string) {
		t.Helper()
		all := content(t, s)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data, all
	}
	page := os.Getpagesize()
	before, had := read()
	states, stored := 0, 0
	var live []uint64
	for round := range 20 {
		for i := range uint64(2) {
			if len(live) > 8 {
				if err := s.Remove(live[0], live[3]); err != nil {
					t.Fatal(err)
				}
				live = slices.Delete(live[1:], 2, 3)
			} else {
				seq := uint64(round)*10 + i + 1
				if err := s.Append(seq, text(strings.Repeat("x", rnd.IntN(3*page)))); err != nil {
					t.Fatal(err)
				}
				live = append(live, seq)
			}
			after, has := read()
			base := append(slices.Clone(before), make([]byte, len(after)-len(before))...)
			var body, meta []int // offsets of the sectors that differ
			for at := 0; at < len(after); at += sector {
				if bytes.Equal(base[at:at+sector], after[at:at+sector]) {
					continue
				}
				if at < 2*page {
					meta = append(meta, at)
				} else {
					body = append(body, at)
				}
			}
			if len(meta) != 1 {
				t.Fatalf("a commit has changed the sectors %v of the meta pages", meta)
			}
			check := func(what string, state []byte, want ...[]string) {
				t.Helper()
				states++
				at := filepath.Join(dir, "state")
				if err := os.WriteFile(at, state, 0o600); err != nil {
					t.Fatal(err)
				}
				s, err := Open(at, Options{})
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				defer s.Close()
				got := content(t, s)
				if !slices.ContainsFunc(want, func(w []string) bool { return slices.Equal(w, got) }) {
					t.Fatalf("%s: it has %d messages, before there were %d, after %d", what, len(got), len(had), len(has))
				}
				if states%5 == 0 { // it works, too
					appendAll(t, s, 1<<40)
				}
				if slices.Equal(got, has) {
					stored++
				}
			}
			check("the file has grown", base, had)
			for range 4 {
				state := slices.Clone(base)
				for _, at := range body {
					if rnd.IntN(2) == 0 {
						copy(state[at:at+sector], after[at:])
					}
				}
				check("some of the pages", state, had)
			}
			whole := slices.Clone(after)
			copy(whole[meta[0]:meta[0]+sector], base[meta[0]:])
			check("all pages", whole, had)
			for _, torn := range []int{1 + rnd.IntN(90), 90 + rnd.IntN(400)} {
				state := slices.Clone(whole)
				copy(state[meta[0]:meta[0]+torn], after[meta[0]:])
				check(fmt.Sprintf("a meta page torn at %d", torn), state, had, has)
			}
			check("the meta page", after, has)
			before, had = after, has
		}
	}
	t.Logf("%d states", states)
	if stored == 0 || stored == states {
		t.Errorf("%d of %d states have the new messages", stored, states)
	}
}

// A crash while the file is made leaves no file, or all of it, and a leftover
// that goes away. What others call their files stays, spools among them.
func TestCrashWhileMaking(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "spool")
	want := []string{"spool", "spool.new", "spool.new2", "spool.unfinished-.tmp", "spool.unfinished-1", "spool.unfinished-1a.tmp", "spool2.unfinished-1.tmp"}
	for _, name := range append(want[1:], "spool.unfinished-123.tmp", "spool.unfinished-77.tmp") {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("part"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openAt(t, path, Options{})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("there are %q, expected %q", names, want)
	}
}
