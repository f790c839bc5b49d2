// Package record is the format of recordings: what happened on the connections of a client, as JSON Lines.
//
//   - event.go: one event, as JSON and back.
//   - reader.go: a recording as a stream, and what is wrong with a line.
//   - log.go: writing one beside connections that must not wait for it.
//
// docs/recordings.md describes the format for users. The package knows nothing of WebSockets but the
// names of their frames.
package record
