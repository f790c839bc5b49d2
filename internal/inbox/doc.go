// Package inbox stands between the client, which has something to tell, and the
// one goroutine that runs the user's callbacks.
//
// inbox.go holds the Queue, and the Batches in which a reader hands over what it
// has read. It knows messages as opcode and bytes, and calls Dispatch for each;
// an event is a function. room.go holds the bound, and the wait for room;
// inline.go InlineDispatch, with which a reader runs callbacks itself.
//
// What must hold:
//
//   - Whatever is queued is told in order, one at a time, by one goroutine, also
//     when a callback ends that goroutine.
//   - Tell and Put never block. Only Wait waits, for room.
//   - The bound counts what is queued and what callbacks have in hand, over any
//     number of connections.
//   - No lock is held over a callback.
//   - No callback holds up reading for longer than twice inlineLimit,
//     and none does where time is virtual.
package inbox
