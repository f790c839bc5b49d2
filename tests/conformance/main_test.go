// Package conformance tests the client against RFC 6455 and RFC 7692 case by
// case, with what the Autobahn test suite asks and more, and against random
// bytes with a decoder that shares no code with it.
package conformance

import (
	"testing"

	"github.com/wsnotify/wsnotify/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
