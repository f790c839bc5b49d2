// Package soak runs clients for long and through many faults, and counts what
// became of each message.
package soak

import (
	"testing"

	"github.com/wsnotify/wsnotify/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
