package main

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// order is what the typed notifications hold.
type order struct {
	ID       int    `json:"id"`
	Customer string `json:"customer"`
	Price    int    `json:"price"`
}

const (
	notificationSize = 120
	notificationType = "chat"
	orderType        = "order"
	orderID          = 4711
)

// payloadNamed returns what a blast sends: "notification", "typed", or a
// number of raw bytes. Server and clients make it from the name alone.
func payloadNamed(name string) (opcode byte, payload []byte) {
	switch name {
	case "notification":
		return opText, padded(`{"msgType":"chat","content":"%s","sender":"ada","sequence":1234567}`)
	case "typed":
		return opText, padded(`{"msgType":"order","content":{"id":4711,"customer":"Ada Lovelace","price":1995},"note":"%s"}`)
	}
	n, err := strconv.Atoi(name)
	if err != nil {
		panic(fmt.Sprintf("no payload named %q", name))
	}
	return opBinary, bytes.Repeat([]byte{0xa5}, n)
}

// firstNumber begins the numbers of a blast, all of which have as many digits.
const firstNumber = "100000000"

// numberedPayload is the first notification of a blast with numbers.
func numberedPayload() []byte {
	return padded(`{"msgType":"chat","content":"%s","sender":"ada","seq":` + firstNumber + `}`)
}

// padded fills a template up to notificationSize with words.
func padded(template string) []byte {
	const words = "the engine weaves algebraic patterns just as the loom weaves flowers and leaves"
	room := notificationSize - (len(template) - len("%s"))
	return []byte(strings.Replace(template, "%s", words[:room], 1))
}
