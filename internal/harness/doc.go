// Package harness is what the tests of the client stand on: those beside the
// files of the root, and the suites below tests/. Nothing but tests imports it.
//
//   - [InBubble] runs a client against the mock server of wsnotifytest in
//     virtual time, writes down every callback with its time, and fails when
//     anything is left of the client.
//   - [InRawBubble] does so with a script for a server: a [Peer] writes the bytes
//     that it is told to, when it is told to. [OnLoopback] puts the same script
//     behind a real socket.
//   - [Decode] reads frames by RFC 6455 and shares no code with the client, nor
//     with its transport.
//   - [Main] is the TestMain of a package, which finds goroutines that are left.
//
// It knows the client by its public names alone. It lies in internal, since the
// root's tests could not import a package below tests/internal, and a package
// that others can import would be a promise.
package harness
