// Package observe is what the modules prom and otel share: the names that the
// states, causes and reasons of a wsnotify.Status have in metrics.
package observe

import "github.com/wsnotify/wsnotify"

// States are the ready states.
func States(yield func(wsnotify.ReadyState, string) bool) {
	for i, name := range [...]string{"connecting", "open", "closing", "closed"} {
		if !yield(wsnotify.ReadyState(i), name) {
			return
		}
	}
}

// Causes yields the failures for each cause.
func Causes(c wsnotify.FailureCounts) func(yield func(string, uint64) bool) {
	return each(
		count{"hook", c.Hook}, count{"dial", c.Dial}, count{"refused", c.Refused}, count{"lost", c.Lost},
		count{"heartbeat", c.Heartbeat}, count{"closed", c.Closed}, count{"violation", c.Violation}, count{"requested", c.Requested},
	)
}

// Reasons yields the messages that were not sent for each reason.
func Reasons(c wsnotify.UndeliveredCounts) func(yield func(string, uint64) bool) {
	return each(
		count{"closed", c.Closed}, count{"expired", c.Expired}, count{"outbox_full", c.OutboxFull}, count{"unconfirmed", c.Unconfirmed},
	)
}

type count struct {
	name string
	n    uint64
}

func each(counts ...count) func(yield func(string, uint64) bool) {
	return func(yield func(string, uint64) bool) {
		for _, c := range counts {
			if !yield(c.name, c.n) {
				return
			}
		}
	}
}
