package deflate

import "math/bits"

// An entry says what the next bits of a stream mean. Its lowest 6 bits are how
// many of them the code takes; then come, from bit 8, how many extra bits follow
// it, from bit 12 one of the kinds, and from bit 16 the value: a literal, a
// symbol, the base of a length or distance, or where the second table begins.
// An entry without a kind is a code that no stream may use.
type entry uint32

const (
	literal entry = 1 << 12
	match   entry = 1 << 13
	end     entry = 1 << 14
	link    entry = 1 << 15 // the code is longer; extra bits choose from a second table
)

func (e entry) bits() uint  { return uint(e & 63) }
func (e entry) extra() uint { return uint(e >> 8 & 15) }
func (e entry) value() int  { return int(e >> 16) }

const (
	numLiterals  = 286 // literals, the end of a block, and lengths, RFC 1951, 3.2.5
	numDistances = 30
	numLengths   = 19 // symbols of the code for code lengths, 3.2.7
	endOfBlock   = 256

	maxCode  = 15 // bits of a code
	maxMatch = 258
)

// The roots of tables are so many bits wide. More make the longer codes faster and
// each block with codes of its own slower.
const (
	literalRoot  = 10
	distanceRoot = 8
	lengthRoot   = 7
)

var (
	literalEntries, distanceEntries = alphabets()
	lengthEntries                   = lengthAlphabet()

	fixedLiterals, fixedDistances = fixedTables()
)

// alphabets returns the entries of all symbols, without the bits of a code. The
// last two of each have a code in the fixed ones, and no meaning.
func alphabets() (literals [numLiterals + 2]entry, distances [numDistances + 2]entry) {
	for i := range endOfBlock {
		literals[i] = literal | entry(i)<<16
	}
	literals[endOfBlock] = end
	base := 3
	for i := range 28 {
		extra := max(0, i/4-1)
		literals[endOfBlock+1+i] = match | entry(extra)<<8 | entry(base)<<16
		base += 1 << extra
	}
	literals[numLiterals-1] = match | maxMatch<<16
	base = 1
	for i := range numDistances {
		extra := max(0, i/2-1)
		distances[i] = match | entry(extra)<<8 | entry(base)<<16
		base += 1 << extra
	}
	return literals, distances
}

func lengthAlphabet() (lengths [numLengths]entry) {
	for i := range lengths {
		lengths[i] = literal | entry(i)<<16
	}
	return lengths
}

// fixedLengths are the lengths of the fixed code for literals, RFC 1951, 3.2.6.
func fixedLengths() (lengths [numLiterals + 2]uint8) {
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	return lengths
}

func fixedTables() (literals, distances *table) {
	literals, distances = new(table), new(table)
	lengths := fixedLengths()
	literals.build(lengths[:], literalEntries[:], literalRoot)
	var five [numDistances + 2]uint8
	for i := range five {
		five[i] = 5
	}
	distances.build(five[:], distanceEntries[:], distanceRoot)
	return literals, distances
}

// A table decodes one Huffman code: its root says what the next bits mean, or,
// where a code is longer than the root is wide, where the second table for them
// is.
type table struct {
	entries []entry
	root    uint
}

// build makes the table of the canonical code in which symbol i, which means
// symbols[i], has a code of lengths[i] bits. It reports false if there is no such
// code, or if it leaves some bits without a meaning. Two codes may do that: one
// without any symbol, and one with a single symbol of one bit. They fail when a
// stream uses what they leave out.
func (t *table) build(lengths []uint8, symbols []entry, root uint) bool {
	var count [maxCode + 1]int
	for _, n := range lengths {
		count[n]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	longest := maxCode
	for longest > 1 && count[longest] == 0 {
		longest--
	}
	free, at := 1, 0
	var next [maxCode + 1]int // where symbols of this length go in order
	for n := 1; n <= longest; n++ {
		next[n] = at
		at += count[n]
		if free = free<<1 - count[n]; free < 0 {
			return false
		}
	}
	t.root = min(root, uint(longest))
	t.resize(1 << t.root)
	if free > 0 {
		clear(t.entries)
		if used == 1 && count[1] == 1 {
			for i, n := range lengths {
				if n > 0 {
					t.entries[0] = symbols[i] | 1
				}
			}
			return true
		}
		return used == 0
	}
	var order [numLiterals + 2]uint16 // symbols, by length
	for i, n := range lengths {
		if n > 0 {
			order[next[n]] = uint16(i)
			next[n]++
		}
	}

	// The codes in their order, written from the last bit to the first as they
	// stand in a stream. Of a table that decodes n bits, that for n+1 bits is two
	// copies, and the longer codes in their places.
	code, n, size := 0, 1, 2
	symbol := 0
	for ; n <= int(t.root); n++ {
		for range count[n] {
			t.entries[code] = symbols[order[symbol]].coded(n)
			symbol++
			code = following(code, n)
		}
		if n < int(t.root) {
			copy(t.entries[size:], t.entries[:size])
			size <<= 1
		}
	}
	for sub, subSize, prefix := 0, 0, -1; n <= longest; n++ {
		for left := count[n]; left > 0; left-- {
			if head := code & (1<<t.root - 1); head != prefix {
				prefix = head
				// As wide as it takes until codes of its own fill it.
				wide := uint(n) - t.root
				for full := left; full < 1<<wide; full = full<<1 + count[int(t.root+wide)] {
					wide++
				}
				sub, subSize = len(t.entries), 1<<wide
				t.resize(sub + subSize)
				t.entries[head] = link | entry(t.root) | entry(wide)<<8 | entry(sub)<<16
			}
			short := uint(n) - t.root
			e := symbols[order[symbol]].coded(int(short))
			for i := code >> t.root; i < subSize; i += 1 << short {
				t.entries[sub+i] = e
			}
			symbol++
			code = following(code, n)
		}
	}
	return true
}

// coded is e with a code of n bits, or of none if it has no meaning.
func (e entry) coded(n int) entry {
	if e == 0 {
		return 0
	}
	return e | entry(n)
}

// following returns the code of n bits after code, both with their first bit
// lowest. After the last, it is of no use.
func following(code, n int) int {
	zeros := ^code & (1<<n - 1)
	if zeros == 0 {
		return code
	}
	highest := 1 << (bits.Len(uint(zeros)) - 1)
	return code&(highest-1) | highest
}

// resize makes the table n entries long. What is new is not cleared.
func (t *table) resize(n int) {
	if n > cap(t.entries) {
		entries := make([]entry, n, max(n, 2*cap(t.entries)))
		copy(entries, t.entries)
		t.entries = entries
	}
	t.entries = t.entries[:n]
}
