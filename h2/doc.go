// Package h2 carries WebSocket connections over HTTP/2: RFC 8441.
//
// A client of package wsnotify makes a TCP connection and a TLS handshake of its
// own. Those that share a [Transport] are streams of one connection, with flow
// control each: a client whose callbacks are slow holds up no other. Give it to
// the clients as the Transport of their Config.HTTPClient:
//
//	shared := &h2.Transport{Fallback: http.DefaultTransport}
//	defer shared.Close()
//	cfg := wsnotify.Config{HTTPClient: &http.Client{Transport: shared}}
//
// Everything else of a client stays as it is: states, reconnecting, heartbeats,
// close codes. A stream that the server resets, and a connection that is lost,
// are an abnormal closure, 1006, by the network.
//
// What the clients share is also one fate. When the connection is lost they
// all reconnect, each by its own policy, over few new connections: one dial
// serves all who wait. And a lost packet delays all streams of a connection.
// Transport.MaxStreams spreads them over more. A stream's data arrives at no more
// than 256 KiB a round trip.
//
// A client that gives up on a handshake, or closes a stream that the server has
// not ended, makes the Transport send a PING. A connection that does not answer
// within a second gets no new streams, and is closed after 5 seconds in which
// nothing else came either.
//
// The server must support it: ALPN must choose "h2", and its SETTINGS must have
// ENABLE_CONNECT_PROTOCOL. docs/scale.md of the repository says which servers do,
// and how it is switched on.
package h2
