// Package transport is one open WebSocket behind one narrow interface: Conn.
// There are two of them, one for the operating system's sockets and one for a
// browser's, and callers can't tell which.
//
//   - conn.go: the interface, and what is read and written through it.
//   - batch.go: messages that leave together.
//   - open.go, dial.go: how one is opened, by a handshake of coder/websocket over
//     an http.Client; request.go: its request, in place of an http.Transport; route.go,
//     socks.go: the way to the server, through a proxy if there is one; host.go: what
//     stands in the Host field.
//   - upgraded.go: the one over a connection that an HTTP handshake has upgraded.
//   - socket.go: the net.Conn under it, which alone knows what has really come
//     and gone, and ends it for sure; direct_….go writes to a socket of the system;
//     outq_….go and acked_….go ask the kernel.
//   - compress.go: compression on the way out and in.
//   - browser_js.go: the one over a browser's WebSocket, made by open_js.go;
//     browserout_js.go is what it sends.
//   - page_js.go: what else of a page is of use: its event loop, and when it is
//     shown or has a network again.
//
// It knows nothing of reconnecting, queues, callbacks or heartbeats.
//
// Invariants:
//
//   - No method but Read, Write, Close and End waits, and Kill ends them, whatever the
//     peer does; a Read of a net.Conn that a user supplies may not end, see End.
//   - Read is one goroutine's at a time, Write and Close are another's; the rest
//     may be called by any.
//   - What Write says that the socket took, and what it did not, is exact.
//   - Nothing follows a close frame.
package transport
