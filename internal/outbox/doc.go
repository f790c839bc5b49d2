// Package outbox is everything that leaves: messages that wait to be written,
// and the writer that sends them over one connection.
//
//   - box.go: the Box, which is the queue of one Connect or Run; intake.go: where
//     its messages come in; entries.go: its entries and their memory.
//   - send.go: a Send that waits; flush.go: a Flush.
//   - taken.go: what the writer takes and settles; leave.go: what is dropped,
//     expires or is left at the end.
//   - confirm.go: messages that the server will confirm; keeper.go: those that a
//     Store keeps.
//   - writer.go: the Writer, which lets what waits leave in few writes.
//   - controls.go: what it sends besides messages: the frames of a heartbeat, the
//     answers to pings, the messages of a Handshake, the close frame.
//   - post.go: what the boxes of a client have in common, and what it is told.
//
// It knows the transport's seam and the opcodes of internal/wire, and nothing of
// states, reconnecting or callbacks: a client attaches a Writer to the Box when
// a connection is open, and is told through Post and Hooks what became of things.
//
// What must hold:
//
//   - A message of Enqueue is written, or told to Undelivered, once; with a Store
//     or a ConfirmID it stays until it is done.
//   - What a Send is answered is exact: not sent, written, or in the middle.
//   - The order of each sender is kept, over connections too.
//   - No lock is held over a write, a Store or a function of the client, but for
//     those of Post that do not block. Writer.batch is locked before
//     Box.mu, and that before intake.mu, never after it.
//   - Nothing is written after a close frame, and nothing to a connection that
//     Part has given up.
package outbox
