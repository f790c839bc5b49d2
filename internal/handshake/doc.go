// Package handshake is what the opening handshake of RFC 6455, section 4, is
// made of, as far as it needs neither a connection nor a client: the address and
// the headers that a user gives, the response, and what an error of it says.
//
//   - address.go: url and user become the address that is dialled.
//   - header.go: which headers and subprotocols may be asked for, and what of a
//     101 the transport lets pass and the standards don't.
//   - failure.go: what an error or a response says to a program: whether the
//     network broke, whether a certificate was refused, Retry-After.
//   - proxy.go: the refusal of a proxy, which h2 has, too.
//   - explain.go: what an error says to its reader: what was expected, what came,
//     and what to do.
//   - secrets.go: what a peer must not be seen to repeat, in whatever spelling.
//   - shown.go: what of an address, and of a peer's words, may be shown.
//
// Invariant: no secret of an address or a request reaches an error, and no
// text of a peer reaches one as it is.
//
// It keeps no state, and knows nothing of attempts, policies or callbacks.
package handshake
