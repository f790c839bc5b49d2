package main

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify/examples/internal/demotest"
)

// TestMain is the agent or the server when the script has started it as one.
func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestOutput(t *testing.T) {
	demotest.Output(t, func(ctx context.Context, out io.Writer) error {
		return script(ctx, 20*time.Millisecond, out)
	})
}
