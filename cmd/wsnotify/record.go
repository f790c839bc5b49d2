package main

import (
	"encoding/json"
	"time"

	"github.com/wsnotify/wsnotify"
)

// record is a message as --json prints it, and as --exec gets it.
type record struct {
	Time     time.Time       `json:"time"`
	MsgType  string          `json:"msgType"`
	Content  json.RawMessage `json:"content"`          // a string, or the JSON that the server sent; null without a notification
	Fallback bool            `json:"fallback"`         // it is no notification
	Epoch    uint64          `json:"epoch"`            // the number of the connection
	Raw      json.RawMessage `json:"raw,omitempty"`    // what is no notification: its JSON, or its text
	Binary   []byte          `json:"binary,omitempty"` // a binary message, in base64

	text string // of Content, or of the message
}

// json is a line without its end. That all of it is JSON already, the client has seen to.
func (r record) json() []byte {
	line, _ := json.Marshal(r)
	return line
}

// newRecord is for messages that are no notifications.
func newRecord(m wsnotify.Message) record {
	r := record{Time: time.Now(), Fallback: true, Epoch: m.Epoch}
	if m.Type == wsnotify.MessageBinary {
		r.Binary = m.Data
		return r
	}
	r.text = string(m.Data)
	r.Raw, _ = json.Marshal(r.text)
	return r
}

// notificationRecord shows a message without msgType or content as it came:
// the library's words for it are for those whose page it is on.
func notificationRecord(n wsnotify.Notification) record {
	if n.Fallback {
		return record{Time: time.Now(), Fallback: true, Epoch: n.Epoch, Raw: n.Raw, text: string(n.Raw)}
	}
	r := record{Time: time.Now(), MsgType: n.MsgType, Epoch: n.Epoch, text: n.Content}
	n.Decode(&r.Content) // which is JSON already
	return r
}
