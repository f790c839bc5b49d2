// Package wire is the framing of RFC 6455 for a client: bytes in, events out,
// and messages in, bytes out.
//
//   - frame.go: frames of this side, with their header, key and payload.
//   - mask.go: masking and copying in one pass, and where the keys come from.
//   - reader.go: the stream of the server, taken apart into messages, pings,
//     pongs and the close frame, in its order.
//   - text.go: UTF-8 that comes in pieces.
//   - memory.go: what messages are read into, and when it is used again.
//
// It knows nothing of goroutines, time, sockets or configuration. A Reader is
// one goroutine's; memory may be released by any.
//
// Invariants:
//
//   - Whatever the server sends, a Reader returns events, a *Violation or the
//     error of its source. It allocates no more than what has come, doubled, and
//     never reads a message past its limit.
//   - A violation is found at the byte that shows it, and what came before it is
//     returned first.
//   - The bytes of a message are used for nothing else until its memory is
//     released, once for each event that has any.
package wire
