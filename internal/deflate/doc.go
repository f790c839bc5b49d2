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
