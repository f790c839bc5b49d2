// Package whatwg holds the client against what a browser did.
package whatwg

import (
	"testing"

	"github.com/wsnotify/wsnotify/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
