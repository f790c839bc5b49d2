// Package inbox stands between the client, which produces messages and events, and the
// one goroutine that runs the user's callbacks.
//
// inbox.go holds the Queue, and the Batches in which a reader enqueues what it
// has read. It knows messages as opcode and bytes, and calls Dispatch for each;
// an event is a function. capacity.go holds the limit, and the wait for capacity;
// inline.go InlineDispatch, with which a reader runs callbacks itself.
//
// Invariants:
//
//   - Whatever is queued is dispatched in order, one at a time, by one goroutine, also
//     when a callback ends that goroutine.
//   - Notify and Enqueue never block. Only AwaitCapacity waits.
//   - The limit counts what is queued and what callbacks have not returned for, over any
//     number of connections.
//   - No lock is held over a callback.
//   - No callback holds up reading for longer than twice inlineLimit.
package inbox
