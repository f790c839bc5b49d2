// Package hostile plays servers that do not do what they should, and holds the
// client to what docs/failures.md says of them; that page's table is written
// from the rows of this package.
package hostile

import (
	"testing"

	"github.com/wsnotify/wsnotify/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
