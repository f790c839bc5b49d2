// Package deflate compresses and decompresses messages as RFC 1951 has it, with a
// window that is kept from one message to the next.
//
//   - inflate.go: the Inflater, and the decoder of one message.
//   - table.go: what decodes a Huffman code.
//   - deflate.go: the Deflater, and how it finds what came before.
//   - block.go: how a block is written: as it is, or with the fixed codes, or with
//     codes of its own.
//
// It knows nothing of WebSockets. A message ends with a flush, whose last four
// bytes, the tail 00 00 FF FF, are left out, and put behind it again by whoever
// decompresses it.
//
// No library does this for small messages in little memory. Measured with
// notifications of 107 bytes, in CPU time of a message, go1.26.8 and
// klauspost/compress v1.19.2:
//
//	                                      time     bytes   memory
//	this package                        0.75 µs     32     48 KB
//	compress/flate, level 1              5.6 µs     98    1.1 MB
//	compress/flate, levels 2 to 6      4.1–6.2 µs  31–28  0.8 MB
//	klauspost, levels 1 to 6             3.2 µs    118   0.8–1.2 MB
//	klauspost, level 7                   3.9 µs     28    1.0 MB
//	klauspost, StatelessDeflate         16.5 µs     42      8 KB, of a dictionary
//
// The fast levels forget their window when little is flushed. To decompress, both
// libraries have to be reset with the window as a dictionary, which takes 1.3 to 1.5
// µs a message (here 0.2 µs): a reader that is kept for all messages fails for good
// when one ends exactly at the end of its window. This package can go when a library
// has a writer that keeps its window over short flushes in some 64 KB, and a reader
// that decompresses a message behind a window that its caller keeps.
//
// What must hold:
//
//   - An Inflater and a Deflater keep their windows between messages and nothing
//     else, and nothing at all without takeover. Tables and scratch memory are
//     pooled.
//   - No message becomes longer than the limit of its caller, and no memory is
//     taken for one that would.
//   - Every message that compress/flate and zlib accept is accepted, and no other,
//     with one exception: one whose last block takes bytes from behind the message.
package deflate
