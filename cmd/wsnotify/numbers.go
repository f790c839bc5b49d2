package main

import (
	"slices"
	"strconv"
)

// numbers numbers the notifications of each user, and keeps the last ones for clients that ask for what
// is behind a number. hub.mu guards all of it.
type numbers struct {
	field  string // that has the number in a message; "" for no numbers
	last   map[string]int64
	recent []numbered // of all users, oldest first
	bytes  int        // of them
}

// numbered is a notification with its number.
type numbered struct {
	user   string
	number int64
	frame  *outgoingFrame
}

const (
	maxRecent      = 1000     // notifications that are kept
	maxRecentBytes = 16 << 20 // bytes of them
	maxNumbered    = 1000     // users whose last number is known, besides those that are connected
	maxNumber      = 1 << 53  // that JavaScript knows exactly
)

// knows reports whether a user has been here, so that what is sent to it is kept until it comes back.
func (n *numbers) knows(user string) bool {
	_, known := n.last[user]
	return known
}

// next makes the next notification of a user of message, a JSON object that is not empty, and keeps it.
func (n *numbers) next(user string, message []byte) *outgoingFrame {
	number := n.last[user] + 1
	n.last[user] = number
	data := append(slices.Clone(message[:len(message)-1]), ',')
	data = append(append(data, jsonString(n.field)...), ':')
	data = append(strconv.AppendInt(data, number, 10), '}')
	f := &outgoingFrame{op: opText, data: data}
	n.recent = append(n.recent, numbered{user, number, f})
	n.bytes += len(data)
	forget := 0
	for len(n.recent)-forget > maxRecent || n.bytes > maxRecentBytes && len(n.recent)-forget > 1 {
		n.bytes -= len(n.recent[forget].frame.data)
		forget++
	}
	n.recent = slices.Delete(n.recent, 0, forget)
	return f
}

// join notes that a client of a user comes, and returns what it asks for: what is behind a number, or
// nothing for "". online reports whether a user has a client; others are forgotten when there are too
// many. A server that was started again goes on behind the number that a client knows, so that none is
// used twice.
func (n *numbers) join(user, after string, online func(user string) bool) []*outgoingFrame {
	if !n.knows(user) && len(n.last) >= maxNumbered {
		n.forget(online)
	}
	if n.last == nil {
		n.last = map[string]int64{}
	}
	number, err := strconv.ParseInt(after, 10, 64)
	if err != nil || number < 0 || number > maxNumber { // it asks for nothing
		n.last[user] = max(n.last[user], 0)
		return nil
	}
	n.last[user] = max(n.last[user], number)
	var behind []*outgoingFrame
	for _, k := range n.recent {
		if k.user == user && k.number > number {
			behind = append(behind, k.frame)
		}
	}
	return behind
}

// forget forgets users that are not connected.
func (n *numbers) forget(online func(user string) bool) {
	for user := range n.last {
		if !online(user) {
			delete(n.last, user)
		}
	}
	n.recent = slices.DeleteFunc(n.recent, func(k numbered) bool {
		gone := !n.knows(k.user)
		if gone {
			n.bytes -= len(k.frame.data)
		}
		return gone
	})
}
