// Package model holds the client, step by step and to the nanosecond, against
// a model of it that knows nothing of goroutines, frames or sockets.
package model

import (
	"testing"

	"github.com/wsnotify/wsnotify/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
