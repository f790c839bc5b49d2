package deflate

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sync"
)

// A bitWriter appends bits to out.
type bitWriter struct {
	out []byte
	acc uint64
	n   uint // bits in acc, at most 31 between two calls
}

// put appends the n lowest bits of v, which has no others; at most 32.
func (w *bitWriter) put(v uint32, n uint) {
	w.acc |= uint64(v) << (w.n & 63)
	if w.n += n; w.n >= 32 {
		w.out = binary.LittleEndian.AppendUint32(w.out, uint32(w.acc))
		w.acc >>= 32
		w.n -= 32
	}
}

// align fills the last byte up with zeros.
func (w *bitWriter) align() {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.out = append(w.out, byte(w.acc))
		w.acc >>= 8
	}
}

// A code is the code of a symbol, its first bit lowest, and from bit 16 how many
// bits it has.
type code uint32

func (w *bitWriter) putCode(c code) { w.put(uint32(c&0xffff), uint(c>>16)) }

// A token is a literal, or a match: 1<<31, from bit 16 its length less 3, and its
// distance less 1.
type token uint32

const matchToken token = 1 << 31

// scratch is what it takes to compress one block.
type scratch struct {
	tokens    []token
	fixed     int                 // bits that they take with the fixed codes
	extra     int                 // those of them that are no code's
	literalN  [numLiterals]uint32 // how often each symbol occurs
	distanceN [numDistances]uint32

	literalCodes  [numLiterals]code
	distanceCodes [numDistances]code
	sorted        []uint32 // symbols that occur, how often from bit 9
	weights       [numLiterals]uint32
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

func (s *scratch) literals(p []byte) {
	for _, c := range p {
		s.tokens = append(s.tokens, token(c))
		s.fixed += 8 + int(c/144)
	}
}

func (s *scratch) match(size, distance int) {
	s.tokens = append(s.tokens, matchToken|token(size-3)<<16|token(distance-1))
	extra := lengthExtra[size-3] + uint8(distanceEntries[distanceSymbol(distance-1)].extra())
	s.fixed += int(fixedLengthBits[size-3]) + 5 + int(extra)
	s.extra += int(extra)
}

// count counts the symbols of the tokens.
func (s *scratch) count() {
	clear(s.literalN[:])
	clear(s.distanceN[:])
	for _, t := range s.tokens {
		if t < endOfBlock {
			s.literalN[t]++
		} else {
			s.literalN[lengthSymbols[t>>16&0xff]]++
			s.distanceN[distanceSymbol(int(t&0xffff))]++
		}
	}
	s.literalN[endOfBlock] = 1
}

var (
	lengthSymbols                         = makeLengthSymbols()   // of a length less 3
	distanceSymbols                       = makeDistanceSymbols() // of a distance less 1, if that is less than 256, and behind them of it >> 7
	fixedLiteralCodes, fixedDistanceCodes = fixedCodes()
	fixedLengthBits, lengthExtra          = makeLengthBits()
)

func makeLengthSymbols() (symbols [256]uint16) {
	for symbol := endOfBlock + 1; symbol < numLiterals; symbol++ {
		e := literalEntries[symbol]
		for i := range 1 << e.extra() {
			if size := e.value() + i; size <= maxMatch { // which the last has for itself
				symbols[size-3] = uint16(symbol)
			}
		}
	}
	return symbols
}

// makeLengthBits returns how many bits a length, less 3, has in the fixed code, and
// how many extra ones.
func makeLengthBits() (fixed, extra [256]uint8) {
	for i, symbol := range lengthSymbols {
		fixed[i] = uint8(fixedLiteralCodes[symbol] >> 16)
		extra[i] = uint8(literalEntries[symbol].extra())
	}
	return fixed, extra
}

func makeDistanceSymbols() (symbols [512]uint8) {
	for symbol, e := range distanceEntries[:numDistances] {
		for i := range 1 << e.extra() {
			if d := e.value() - 1 + i; d < 256 {
				symbols[d] = uint8(symbol)
			} else {
				symbols[256+d>>7] = uint8(symbol)
			}
		}
	}
	return symbols
}

func distanceSymbol(d int) uint8 {
	if d < 256 {
		return distanceSymbols[d]
	}
	return distanceSymbols[256+d>>7]
}

func fixedCodes() (literals [numLiterals + 2]code, distances [numDistances]code) {
	lengths := fixedLengths()
	canonical(lengths[:], literals[:])
	for i := range distances {
		distances[i] = code(bits.Reverse8(uint8(i))>>3) | 5<<16
	}
	return literals, distances
}

// canonical gives symbols of these lengths their codes, RFC 1951, 3.2.2.
func canonical(lengths []uint8, codes []code) {
	var count, next [maxCode + 2]uint16
	for _, n := range lengths {
		if n > 0 { // most are 0
			count[n]++
		}
	}
	for n := 1; n <= maxCode; n++ {
		next[n+1] = (next[n] + count[n]) << 1
	}
	for i, n := range lengths {
		if n > 0 {
			codes[i] = code(bits.Reverse16(next[n])>>(16-n)) | code(n)<<16
			next[n]++
		}
	}
}

// write writes the tokens, which data became, in the kind of block that is the
// shortest.
func (s *scratch) write(w *bitWriter, data []byte) {
	size := 3 + s.fixed + 7
	stored := 8*(len(data)+5) + 7
	var own ownCodes
	if size > worthOwnCodes && s.measure(&own, min(size, stored)) {
		s.writeOwn(w, &own)
		return
	}
	if stored < size {
		w.put(0, 3)
		w.align()
		w.out = binary.LittleEndian.AppendUint16(w.out, uint16(len(data)))
		w.out = binary.LittleEndian.AppendUint16(w.out, ^uint16(len(data)))
		w.out = append(w.out, data...)
		return
	}
	w.put(1<<1, 3)
	s.writeTokens(w, fixedLiteralCodes[:], fixedDistanceCodes[:])
}

// worthOwnCodes is a size in bits below which no block has become shorter with
// codes of its own: these take 300 to 600 bits.
const worthOwnCodes = 700

func (s *scratch) writeTokens(w *bitWriter, literals, distances []code) {
	literals, distances = literals[:numLiterals], distances[:numDistances]
	for _, t := range s.tokens {
		if t < endOfBlock {
			w.putCode(literals[t])
			continue
		}
		size, d := int(t>>16&0xff), int(t&0xffff)
		symbol := lengthSymbols[size]
		e, c := literalEntries[symbol], literals[symbol]
		n := uint(c >> 16)
		w.put(uint32(c&0xffff)|uint32(size+3-e.value())<<n, n+e.extra())
		symbol = uint16(distanceSymbol(d))
		e, c = distanceEntries[symbol], distances[symbol]
		n = uint(c >> 16)
		w.put(uint32(c&0xffff)|uint32(d+1-e.value())<<n, n+e.extra())
	}
	w.putCode(literals[endOfBlock])
}

// ownCodes are the lengths of codes that are made for one block, and how the block
// has them.
type ownCodes struct {
	literals                      [numLiterals]uint8
	distances                     [numDistances]uint8
	nLiterals, nDistances, nCodes int

	// The lengths as the symbols of a third code, with their extra bits from bit 8.
	runs  [numLiterals + numDistances]uint16
	nRuns int
	codes [numLengths]code
}

// measure finds codes for the tokens, and reports whether a block with them is
// shorter than most bits.
func (s *scratch) measure(o *ownCodes, most int) bool {
	s.count()
	size := 3 + 14 + s.extra
	size += s.lengths(s.literalN[:], o.literals[:], maxCode)
	size += s.lengths(s.distanceN[:], o.distances[:], maxCode)
	o.nLiterals, o.nDistances = numLiterals, numDistances
	for o.nLiterals > endOfBlock+1 && o.literals[o.nLiterals-1] == 0 {
		o.nLiterals--
	}
	for o.nDistances > 1 && o.distances[o.nDistances-1] == 0 {
		o.nDistances--
	}
	var all [numLiterals + numDistances]uint8
	copy(all[:], o.literals[:o.nLiterals])
	copy(all[o.nLiterals:], o.distances[:o.nDistances])
	var count [numLengths]uint32
	o.run(all[:o.nLiterals+o.nDistances], &count)
	var lengths [numLengths]uint8
	size += s.lengths(count[:], lengths[:], lengthRoot)
	canonical(lengths[:], o.codes[:])
	o.nCodes = numLengths
	for o.nCodes > 4 && lengths[codeOrder[o.nCodes-1]] == 0 {
		o.nCodes--
	}

	size += 3 * o.nCodes
	for i, r := range codeRepeats {
		size += int(count[16+i]) * int(r.extra)
	}
	return size < most
}

// run makes runs of the lengths.
func (o *ownCodes) run(lengths []uint8, count *[numLengths]uint32) {
	add := func(symbol, extra int) {
		o.runs[o.nRuns] = uint16(symbol | extra<<8)
		o.nRuns++
		count[symbol]++
	}
	for i := 0; i < len(lengths); {
		v, from := lengths[i], i
		for i < len(lengths) && lengths[i] == v {
			i++
		}
		left := i - from
		if v == 0 {
			for ; left >= 11; left -= min(left, 138) {
				add(18, min(left, 138)-11)
			}
			if left >= 3 {
				add(17, left-3)
				left = 0
			}
		} else {
			add(int(v), 0)
			for left--; left >= 3; left -= min(left, 6) {
				add(16, min(left, 6)-3)
			}
		}
		for range left {
			add(int(v), 0)
		}
	}
}

// writeOwn writes a block with codes of its own.
func (s *scratch) writeOwn(w *bitWriter, o *ownCodes) {
	w.put(2<<1, 3)
	w.put(uint32(o.nLiterals-257)|uint32(o.nDistances-1)<<5|uint32(o.nCodes-4)<<10, 14)
	for _, symbol := range codeOrder[:o.nCodes] {
		w.put(uint32(o.codes[symbol]>>16), 3)
	}
	for _, r := range o.runs[:o.nRuns] {
		symbol := r & 0xff
		w.putCode(o.codes[symbol])
		if symbol >= 16 {
			w.put(uint32(r>>8), codeRepeats[symbol-16].extra)
		}
	}
	canonical(o.literals[:], s.literalCodes[:])
	canonical(o.distances[:], s.distanceCodes[:])
	s.writeTokens(w, s.literalCodes[:], s.distanceCodes[:])
}

// lengths finds the lengths, at most most bits, of a code for symbols that occur
// count times, and returns how many bits all of them take: an optimal one, if none of its codes is longer (A. Moffat and
// J. Katajainen, In-Place Calculation of Minimum-Redundancy Codes, 1995). A single
// symbol gets one bit.
func (s *scratch) lengths(count []uint32, lengths []uint8, most int) (size int) {
	s.sorted = s.sorted[:0]
	for i, n := range count {
		if n > 0 {
			s.sorted = append(s.sorted, n<<9|uint32(i))
		}
	}
	clear(lengths)
	sorted := s.sorted
	if len(sorted) < 2 {
		for _, x := range sorted {
			lengths[x&511] = 1
			size += int(x >> 9)
		}
		return size
	}
	slices.Sort(sorted)
	a := s.weights[:len(sorted)]
	for i, x := range sorted {
		a[i] = x >> 9
	}
	depths(a)

	var perDepth [32]int
	for _, depth := range a {
		perDepth[min(depth, 31)]++
	}
	limitDepth(&perDepth, most)
	i := 0 // the rarest first
	for n := most; n > 0; n-- {
		for _, x := range sorted[i : i+perDepth[n]] {
			lengths[x&511] = uint8(n)
			size += n * int(x>>9)
		}
		i += perDepth[n]
	}
	return size
}

// depths replaces weights, which rise, by the depths of their leaves in a tree of
// least cost.
func depths(a []uint32) {
	n := len(a)
	// Each inner node replaces a weight that was used, first by its own weight,
	// and once it has a parent by that.
	root, leaf := 0, 0
	lighter := func(node int) uint32 {
		if leaf >= n || root < node && a[root] < a[leaf] {
			root++
			w := a[root-1]
			a[root-1] = uint32(node)
			return w
		}
		leaf++
		return a[leaf-1]
	}
	for node := range n - 1 {
		first := lighter(node)
		a[node] = first + lighter(node)
	}
	// Depths of the inner nodes, from the root.
	a[n-2] = 0
	for node := n - 3; node >= 0; node-- {
		a[node] = a[a[node]] + 1
	}
	// And of the leaves: what of a level is no inner node.
	inner, next := n-2, n-1
	for depth, open := uint32(0), 1; open > 0; depth++ {
		nodes := 0
		for inner >= 0 && a[inner] == depth {
			nodes++
			inner--
		}
		for range open - nodes {
			a[next] = depth
			next--
		}
		open = 2 * nodes
	}
}

// limitDepth moves leaves that are deeper than most up to there, and others down
// until the code is possible again.
func limitDepth(perDepth *[32]int, most int) {
	for depth := most + 1; depth < len(perDepth); depth++ {
		perDepth[most] += perDepth[depth]
		perDepth[depth] = 0
	}
	used := 0 // of 1<<most codes
	for depth := 1; depth <= most; depth++ {
		used += perDepth[depth] << (most - depth)
	}
	for ; used > 1<<most; used-- {
		depth := most - 1
		for perDepth[depth] == 0 {
			depth--
		}
		perDepth[depth]--
		perDepth[depth+1] += 2
		perDepth[most]--
	}
}
