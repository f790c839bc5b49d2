// Package extension negotiates permessage-deflate, RFC 7692, section 7.1, as a
// client and as a server.
//
//   - extension.go: what a client offers, which answers to that are allowed, and
//     what a server answers.
//   - parse.go: the grammar of Sec-WebSocket-Extensions, RFC 6455, section 9.1.
//
// It knows nothing of HTTP, connections and configuration: strings come in, and
// what both sides have to keep to comes out.
package extension
