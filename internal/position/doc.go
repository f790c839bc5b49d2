// Package position keeps how far a client has come in the streams of its
// server: the position of the last message that was received, and of the last
// one that was handled.
//
// What lives here:
//
//   - tracker.go: [Tracker], the positions of one client, and [Mark], that of
//     one message on its way from the reader to the end of its callbacks.
//   - receiver.go: [Receiver], which notes what one connection receives.
//   - number.go: how positions are kept, and the order of those that are numbers.
//   - recent.go: the opaque positions that were seen last.
//
// It knows nothing of connections, messages and callbacks, and starts nothing.
// The reader calls Admit and Publish, the goroutine of the callbacks Hold and Done, a
// loop Release; each side has a lock and cache lines of its own, so that they don't
// take them from each other with each message.
package position
