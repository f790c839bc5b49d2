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
		if err := p.tree(3, 0); (err == nil) != (test.want == "") || err != nil && !strings.HasPrefix(err.Error(), test.want) {
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

// A list of free pages is one whose pages are there, and are not used. It is that of the transaction, in either of
// the meta pages.
func TestListOfFreePages(t *testing.T) {
	const size = 128
	page := func(f []byte, id int) []byte { return f[id*size : (id+1)*size] }
	meta := func(f []byte, id int, list, transaction uint64) {
		binary.NativeEndian.PutUint64(page(f, id)[pageHeader+32:], list)
		binary.NativeEndian.PutUint64(page(f, id)[pageHeader+48:], transaction)
	}
	list := func(f []byte, flags, count uint16, free ...uint64) {
		b := page(f, 3)
		binary.NativeEndian.PutUint64(b, 3)
		binary.NativeEndian.PutUint16(b[8:], flags)
		binary.NativeEndian.PutUint16(b[10:], count)
		for i, id := range free {
			binary.NativeEndian.PutUint64(b[pageHeader+8*i:], id)
		}
	}
	for name, test := range map[string]struct {
		change func(f []byte)
		want   string // "": it is one
	}{
		"whole":                          {func([]byte) {}, ""},
		"in the other meta page":         {func(f []byte) { meta(f, 0, noFreelist, 8); meta(f, 1, 3, 9) }, ""},
		"of another transaction":         {func(f []byte) { meta(f, 0, 99, 8) }, ""},
		"of no transaction":              {func(f []byte) { meta(f, 0, 99, 8); meta(f, 1, 99, 7) }, ""},
		"none":                           {func(f []byte) { meta(f, 0, noFreelist, 9) }, ""},
		"of nothing":                     {func(f []byte) { list(f, freelistPage, 0) }, ""},
		"with the first and last page":   {func(f []byte) { list(f, freelistPage, 2, 2, 7) }, ""},
		"past the end":                   {func(f []byte) { meta(f, 0, 8, 9) }, "page 8 is used, and there are 8"},
		"a leaf":                         {func(f []byte) { list(f, leafPage, 2, 5, 6) }, "page 3 is no list of free pages: flags 0x2, 2 elements"},
		"a free page that is used":       {func(f []byte) { list(f, freelistPage, 2, 5, 4) }, "page 4 is free, and is used, or free twice, or past the end"},
		"a free page that is free twice": {func(f []byte) { list(f, freelistPage, 2, 5, 5) }, "page 5 is free, and is used, or free twice, or past the end"},
		"a free page past the end":       {func(f []byte) { list(f, freelistPage, 2, 5, 8) }, "page 8 is free, and is used, or free twice, or past the end"},
		"a meta page that is free":       {func(f []byte) { list(f, freelistPage, 2, 5, 1) }, "page 1 is free, and is used, or free twice, or past the end"},
		"the list itself":                {func(f []byte) { list(f, freelistPage, 1, 3) }, "page 3 is free, and is used, or free twice, or past the end"},
		"the number in the list":         {func(f []byte) { list(f, freelistPage, 0xFFFF, 2, 5, 6) }, ""},
		"the number, and one of them":    {func(f []byte) { list(f, freelistPage, 0xFFFF, 2, 5, 4) }, "page 4 is free, and is used, or free twice, or past the end"},
		"more than there are pages":      {func(f []byte) { list(f, freelistPage, 0xFFFF, 9) }, "page 3 is no list of free pages: flags 0x10, 9 elements"},
		"as many as there are pages":     {func(f []byte) { list(f, freelistPage, 8, 2, 2) }, "page 2 is free, and is used, or free twice, or past the end"},
		"longer than its page":           {func(f []byte) { list(f, freelistPage, 15) }, "page 3 is no list of free pages: flags 0x10, 15 elements"},
	} {
		f := make([]byte, 8*size)
		meta(f, 0, 3, 9)
		meta(f, 1, 99, 8)
		list(f, freelistPage, 2, 5, 6)
		test.change(f)
		p := &pages{bytes.NewReader(f), size, 8, map[uint64]bool{4: true}}
		if err := p.freelist(9); err == nil && test.want != "" || err != nil && err.Error() != test.want {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	for _, test := range []struct { // files that are cut off
		end   int
		count uint16
		want  string
	}{
		{size + 8, 1, "EOF"}, {3 * size, 1, "EOF"}, {3*size + pageHeader + 4, 1, "page 3: unexpected EOF"}, {3*size + pageHeader + 4, 0xFFFF, "page 3: unexpected EOF"},
	} {
		f := make([]byte, 8*size)
		meta(f, 0, 3, 9)
		list(f, freelistPage, test.count, 1)
		p := &pages{bytes.NewReader(f[:test.end]), size, 8, map[uint64]bool{}}
		if err := p.freelist(9); err == nil || err.Error() != test.want {
			t.Errorf("a file that ends at %d: %v, want %s", test.end, err, test.want)
		}
	}
}
