package main

import (
	"context"
	"io"
	"testing"

	"github.com/wsnotify/wsnotify/examples/internal/demo"
	"github.com/wsnotify/wsnotify/examples/internal/demotest"
)

func TestOutput(t *testing.T) {
	demotest.Output(t, func(ctx context.Context, out io.Writer) error {
		return demo.Run(ctx, nil, out, run, script)
	})
}
