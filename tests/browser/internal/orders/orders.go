// Package orders is what a test of the browser asks of the program in the page.
package orders

import (
	"time"

	"github.com/wsnotify/wsnotify"
)

// Order is what a test asks for.
type Order struct {
	Do     string // see client.do of the page
	Client int

	URL, User, Text, Reason string
	Code, Size, Times       int
	State                   int // a ReadyState, whose JSON is a name
	Within                  time.Duration
	Config                  Config
}

// Config is the part of a wsnotify.Config that tests need.
type Config struct {
	Subprotocols                            []string
	Delay                                   time.Duration
	Retries                                 uint64
	CloseTimeout, WriteTimeout, DialTimeout time.Duration
	Heartbeat                               struct{ Interval, Timeout time.Duration }
	ReadLimit                               int64
	Inbox                                   wsnotify.Inbox
	Outbox                                  int
	FailFast, Never, Header                 bool
	Token                                   string // that BeforeDial adds
	Login                                   string // that OnHandshake sends, and waits for
}
