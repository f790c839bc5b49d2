package spool

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// file is one with pages of 64 bytes: of a branch, elements are the pages below.
type file []byte

func (f file) page(id int, number uint64, flags, count uint16, more uint32, below ...uint64) {
	b := f[id*64:]
	binary.NativeEndian.PutUint64(b, number)
	binary.NativeEndian.PutUint16(b[8:], flags)
	binary.NativeEndian.PutUint16(b[10:], count)
	binary.NativeEndian.PutUint32(b[12:], more)
	for i, n := range below {
		binary.NativeEndian.PutUint64(b[pageHeader+16*i+8:], n)
	}
}

// A tree is one whose pages are there, are what they say, and are used once.
func TestPagesOfATree(t *testing.T) {
	for name, test := range map[string]struct {
		change func(f file)
		want   string // "": it is one
	}{
		"whole":                     {func(file) {}, ""},
		"another number":            {func(f file) { f.page(4, 5, leafPage, 0, 0) }, "page 4 says that it is page 5 with 0 more"},
		"a page that leads upwards": {func(f file) { f.page(4, 4, branchPage, 1, 0, 3) }, "page 3 is used twice"},
		"two that are one":          {func(f file) { f.page(3, 3, branchPage, 2, 0, 4, 4) }, "page 4 is used twice"},
		"pages within others":       {func(f file) { f.page(3, 3, branchPage, 2, 1, 4, 5) }, "page 4 is used twice"},
		"a meta page":               {func(f file) { f.page(3, 3, branchPage, 1, 0, 1) }, "page 1 is used, and there are 7"},
		"the first page":            {func(f file) { f.page(3, 3, branchPage, 1, 0, 2); f.page(2, 2, leafPage, 0, 0) }, ""},
		"the last page":             {func(f file) { f.page(5, 5, leafPage, 0, 1) }, ""},
		"past the end":              {func(f file) { f.page(3, 3, branchPage, 1, 0, 7) }, "page 7 is used, and there are 7"},
		"more than there are":       {func(f file) { f.page(5, 5, leafPage, 0, 2) }, "page 5 says that it is page 5 with 2 more"},
		"of another kind":           {func(f file) { f.page(4, 4, freelistPage, 0, 0) }, "page 4 is no page of a tree: flags 0x10"},
		"a branch of nothing":       {func(f file) { f.page(4, 4, branchPage, 0, 0) }, "page 4 is no page of a tree: flags 0x1, 0 elements"},
		"a branch that is too long": {func(f file) { f.page(5, 5, branchPage, 100, 0) }, "page 5: unexpected EOF"},
	} {
		f := make(file, 7*64)
		f.page(3, 3, branchPage, 2, 0, 4, 5)
		f.page(4, 4, leafPage, 0, 0)
		f.page(5, 5, leafPage, 0, 0)
		test.change(f)
		p := &pages{bytes.NewReader(f), 64, 7, map[uint64]bool{}}
		if err := p.tree(3, 0); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	f := make(file, 64)
	if err := (&pages{bytes.NewReader(f), 64, 7, map[uint64]bool{}}).tree(3, 0); err == nil {
		t.Error("a page behind the end of the file is no error")
	}
}

// A tree that is deeper than any can be is none.
func TestDepthOfATree(t *testing.T) {
	for levels, want := range map[int]bool{maxDepth: true, maxDepth + 1: false} { // of branches
		f := make(file, 64*(levels+3))
		for i := range levels {
			f.page(2+i, uint64(2+i), branchPage, 1, 0, uint64(3+i))
		}
		f.page(2+levels, uint64(2+levels), leafPage, 0, 0)
		p := &pages{bytes.NewReader(f), 64, uint64(levels + 3), map[uint64]bool{}}
		if err := p.tree(2, 0); (err == nil) != want {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}
