package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// maxLine is what the outbox takes, in bytes.
const maxLine = 4 << 20

func sendCommand() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use:   "send URL",
		Short: "Send the lines of the standard input",
		Long: `Send sends each line of the standard input as a text message, in order. Lines
wait while there is no connection. At the end of the input it waits until all
are written, and closes the connection.

A line that was not sent, or may not have been, is reported on the standard error,
and the exit status is not 0. "Written" means that the operating system has taken
it: only an answer of the server can say that it has been read.`,
		Example: `  echo hello | wsnotify send ws://localhost:8080/ws/ --user ada
  tail -f app.log | wsnotify send wss://example.com/logs --attempts -1
  wsnotify send example.com/ws/ --user ada --timeout 1m <messages.txt`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := conn.config(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := conn.limited(cmd.Context())
			defer cancel()
			var undelivered atomic.Int64
			say := func(format string, args ...any) {
				fmt.Fprintln(cmd.ErrOrStderr(), "wsnotify:", brief(fmt.Sprintf(format, args...)))
			}
			cfg.OnUndelivered = func(m wsnotify.Message, err error) {
				undelivered.Add(1)
				say("not delivered: %s: %v", m.Data, err)
			}
			cfg.OnReconnecting = func(ev wsnotify.ReconnectEvent) {
				say("attempt %d in %v: %s", ev.Attempt, ev.Delay.Round(time.Millisecond), cause(ev.Failure))
			}
			client := wsnotify.New(cfg)
			over := make(chan error, 1)
			begun := make(chan struct{})
			go func() {
				close(begun)
				over <- client.Run(ctx, address(args[0]), conn.user)
			}()
			<-begun
			read := make(chan error, 1)
			go func() { read <- sendLines(ctx, client, cmd.InOrStdin(), &undelivered, say) }()

			var ended error // of Run
			select {
			case err = <-read:
				if err == nil {
					err = client.Flush(ctx)
				}
				if closed := client.Disconnect(); err == nil {
					err = closed
				}
				ended = <-over
			case ended = <-over:
			}
			<-client.Done()
			lost := undelivered.Load()
			switch {
			case errors.Is(ctx.Err(), context.DeadlineExceeded):
				return &failure{exitTimeout, fmt.Errorf("not all was sent within %v", conn.timeout)}
			case ended != nil && outcome(ended) != nil:
				return outcome(ended)
			case lost > 0:
				return fmt.Errorf("%d not delivered", lost)
			case ended != nil: // Ctrl-C, and all that was read is sent
				return nil
			}
			return err
		},
	}
	conn.flags(cmd)
	return cmd
}

// sendLines queues what r holds, and waits for room instead of dropping.
func sendLines(ctx context.Context, c *wsnotify.Client, r io.Reader, bad *atomic.Int64, say func(string, ...any)) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := readLine(in)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err != nil && line == "" {
			return nil
		}
		if refused := queue(ctx, c, line); refused != nil {
			bad.Add(1)
			if errors.Is(refused, wsnotify.ErrClosed) || ctx.Err() != nil {
				say("not sent: line %d and what follows", number)
				return refused
			}
			say("not sent: line %d: %v", number, refused)
		}
		if err != nil {
			return nil
		}
	}
}

func queue(ctx context.Context, c *wsnotify.Client, line string) error {
	for {
		err := c.Enqueue(wsnotify.MessageText, []byte(line))
		if !errors.Is(err, wsnotify.ErrOutboxFull) {
			return err
		}
		if err := c.Flush(ctx); err != nil {
			return err
		}
	}
}

// readLine returns a line without its end, and io.EOF with or after the last.
func readLine(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, err := in.ReadSlice('\n')
		b.Write(part)
		if b.Len() > maxLine {
			return "", fmt.Errorf("it is longer than %d bytes", maxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return strings.TrimSuffix(strings.TrimSuffix(b.String(), "\n"), "\r"), err
		}
	}
}
