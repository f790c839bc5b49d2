// Package envelope is the JSON of a notification: it finds the two fields of a message, its
// type and its content, and the id that an answer carries, and decodes content.
//
// What lives here:
//
//   - fields.go: [Fields] and [IDField], which find values by the names of top-level
//     fields.
//   - parse.go: the scanner behind both. It walks over a message once, checks all of it
//     against RFC 8259, and remembers where the values were. [Truthy] and [Text] say what
//     a value is in JavaScript.
//   - decode.go: [Decoder], for content and the type of an On handler.
//   - testdata/parse: messages, and what Node makes of them; generate.mjs writes it anew.
//
// It knows nothing of WebSockets, clients and callbacks, holds no state between two messages
// and starts nothing. Which names are looked for, what a message without them means, and what
// of it is copied is decided by those who call it.
//
// Invariants, which the tests verify:
//
//   - A message is JSON here exactly if JSON.parse takes it, up to 10000 levels of nesting.
//     Keys are compared as JavaScript does: exactly, whatever escape sequences spell them, the
//     last of several wins.
//   - What Decoder makes of content is what encoding/json makes of it, its errors too.
//   - Nothing panics on input, and no input makes the stack grow without a limit.
//   - Finding allocates nothing, and [Text] allocates once.
//
// The scanner takes valid UTF-8 for granted: the reader of a connection has checked it. Its
// speed is that of the client's receiving, so change it with the benchmarks beside it:
//
//	go test -run '^$' -bench . ./internal/envelope
package envelope
