package spool

import (
	"encoding/binary"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// bbolt trusts its pages. If one is that of an earlier moment, because the disk has lost a write or the
// file was copied while it was in use, pages can lead to themselves: bbolt then goes round until
// the memory or the stack is used up, which is no panic that could be recovered from. Or the list of
// free pages has some that are in use, and the next commit writes over them. So Open first looks at
// how the pages hang together. It reads their headers, and branches and free list as a whole.
//
// A page, in the byte order of the machine: its number (8 bytes), flags (2), elements (2), further pages (4),
// then the elements. Of a branch one is 16 bytes, and the last 8 the number of a page.
const (
	pageHeader   = 16
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	noFreelist   = 1<<64 - 1
	maxDepth     = 64 // of the tree; each level is at least twice as wide as the one above
)

// pages are those of a transaction.
type pages struct {
	file io.ReaderAt
	size int64  // of one
	end  uint64 // the first number that is not in use
	seen map[uint64]bool
}

// checkPages is for a file that is all there.
func checkPages(tx *bbolt.Tx, file io.ReaderAt) error {
	size := int64(tx.DB().Info().PageSize)
	p := &pages{file, size, uint64(tx.Size() / size), map[uint64]bool{}}
	if err := p.tree(uint64(tx.Cursor().Bucket().Root()), 0); err != nil {
		return err
	}
	err := tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
		if root := uint64(b.Root()); root != 0 { // else it is within the leaf above
			return p.tree(root, 0)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.freelist(uint64(tx.ID()))
}

// page is one that was read, with those that go with it.
type page struct {
	flags uint16
	count int
	body  *io.SectionReader
}

// page reads the header of a page, and marks it and those that go with it.
func (p *pages) page(id uint64) (page, error) {
	if id < 2 || id >= p.end {
		return page{}, fmt.Errorf("page %d is used, and there are %d", id, p.end)
	}
	var b [pageHeader]byte
	if _, err := p.file.ReadAt(b[:], int64(id)*p.size); err != nil {
		return page{}, err
	}
	more := uint64(binary.NativeEndian.Uint32(b[12:]))
	if got := binary.NativeEndian.Uint64(b[:]); got != id || more >= p.end-id {
		return page{}, fmt.Errorf("page %d says that it is page %d with %d more", id, got, more)
	}
	for i := id; i <= id+more; i++ {
		if p.seen[i] {
			return page{}, fmt.Errorf("page %d is used twice", i)
		}
		p.seen[i] = true
	}
	body := io.NewSectionReader(p.file, int64(id)*p.size+pageHeader, int64(more+1)*p.size-pageHeader)
	return page{binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:])), body}, nil
}

// tree walks down from a page.
func (p *pages) tree(id uint64, depth int) error {
	is, err := p.page(id)
	switch {
	case err != nil:
		return err
	case is.flags == leafPage:
		return nil
	case is.flags != branchPage || is.count == 0 || depth == maxDepth:
		return fmt.Errorf("page %d is no page of a tree: flags %#x, %d elements, depth %d", id, is.flags, is.count, depth)
	}
	elements := make([]byte, is.count*16)
	if _, err := io.ReadFull(is.body, elements); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	for i := range is.count {
		if err := p.tree(binary.NativeEndian.Uint64(elements[i*16+8:]), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// freelist checks that nothing is free that is in use.
func (p *pages) freelist(transaction uint64) error {
	id := uint64(noFreelist)
	for meta := range int64(2) { // magic, version, page size, flags: 4 each; root: 16; free list, end, transaction: 8 each
		var b [56]byte
		if _, err := p.file.ReadAt(b[:], meta*p.size+pageHeader); err != nil {
			return err
		}
		if binary.NativeEndian.Uint64(b[48:]) == transaction {
			id = binary.NativeEndian.Uint64(b[32:])
		}
	}
	if id == noFreelist {
		return nil
	}
	is, err := p.page(id)
	if err != nil {
		return err
	}
	count := uint64(is.count)
	if count == 0xFFFF { // then the first element is the number of elements
		if err := binary.Read(is.body, binary.NativeEndian, &count); err != nil {
			return fmt.Errorf("page %d: %w", id, err)
		}
	}
	if is.flags != freelistPage || count > p.end {
		return fmt.Errorf("page %d is no list of free pages: flags %#x, %d elements", id, is.flags, count)
	}
	free := make([]uint64, count)
	if err := binary.Read(is.body, binary.NativeEndian, free); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	for _, id := range free {
		if id < 2 || id >= p.end || p.seen[id] {
			return fmt.Errorf("page %d is free, and is used, or free twice, or past the end", id)
		}
		p.seen[id] = true
	}
	return nil
}
