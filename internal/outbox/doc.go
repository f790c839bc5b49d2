// Package outbox is everything that leaves: messages that wait to be written or
// acknowledged, and the writer that sends them over one connection.
//
//   - outbox.go: the Outbox of a client: Enqueue, and the limits.
//   - ring.go: where its messages are, in order, with the cursors head, written,
//     next and tail.
//   - session.go: the part of one Connect or Run.
//   - dequeue.go: what the writer dequeues, and what becomes of it.
//   - send.go: a Send that waits; flush.go: a Flush.
//   - acks.go: messages that the server acknowledges.
//   - undelivered.go: what is dropped, expires or is given up at the end.
//   - store.go: what a Store has.
//   - writer.go: the Writer, which lets what waits leave in few writes.
//   - controls.go: what it sends besides messages: the frames of a heartbeat, the
//     answers to pings, the messages of a Handshake, the close frame.
//   - config.go: the settings, and how the client is notified.
//
// It knows the transport's seam and the opcodes of internal/wire, and nothing of
// states, reconnecting or callbacks: a client attaches a Writer to a Session when
// a connection is open, and is notified through Config and Hooks.
//
// What must hold:
//
//   - A message of Enqueue is written, or reported to Undelivered, once; with a
//     Store or a ConfirmID it stays until it is done.
//   - What a Send is answered is exact: not sent, written, or in the middle.
//   - The order of each sender is kept, over connections too.
//   - No lock is held over a write, a Store or a function of the client, but for
//     those of Config that do not block. Writer.batch is locked before
//     Outbox.mu, never after it.
//   - Nothing holds Outbox.mu for longer than some ms, with a million messages
//     either: what is for all of them is done in parts, or for none.
//   - Nothing is written after a close frame, and nothing to a connection that
//     Part has given up.
package outbox
