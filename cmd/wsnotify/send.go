package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
)

// sendReadLimit is large, since replies are skipped.
const sendReadLimit = 64 << 20

func sendCommand() *cobra.Command {
	var conn connection
	var frame framing
	var confirm, file string
	var often frequency
	cmd := &cobra.Command{
		Use:   "send URL",
		Short: "Send the lines of the standard input",
		Long: `Send sends each line of the standard input as a text message, in order. Lines
wait while there is no connection. At the end of the input it waits until all
are written and the server has read them, and closes the connection. Replies are
skipped; see wsnotify connect to print them.

A line that was not sent, or that may be lost, is reported on the standard error,
and the exit status is not 0. A server has read a line when it answers the ping
that follows; what it does with the line is up to the server. With --confirm it has
to answer each line, and a line without an answer is sent again over the next
connection, so that it may arrive twice.

While the input is open, as with tail -f, send goes on after a failed attempt, as
often as --attempts says. Once it has ended, a first attempt that fails is final
unless --attempts is given.`,
		Example: `  echo hello | wsnotify send ws://localhost:8080/ws/ --user ada
  tail -f app.log | wsnotify send wss://example.com/logs --attempts -1
  wsnotify send example.com/ws/ --user ada --timeout 1m <messages.txt
  wsnotify send example.com/orders --confirm id --spool orders.spool <orders.jsonl
  seq 100 | wsnotify send example.com/echo --rate 5/s
  wsnotify send example.com/upload --binary --whole <picture.png`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := frame.check(); err != nil {
				return err
			}
			path, err := parsePath("--confirm", confirm)
			if err != nil {
				return err
			}
			cfg, url, err := conn.config(cmd, args[0])
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("read-limit") {
				cfg.ReadLimit = sendReadLimit
			}
			often.limit(&cfg)
			ctx, cancel := conn.limited(cmd.Context())
			defer cancel()
			say := sayer(cmd.ErrOrStderr())
			note := conn.notes(say, &cfg)
			g := newOutgoing(&conn, &frame, &cfg, note)
			g.eager = !cmd.Flags().Changed("attempts")
			g.ended = isOver(cmd.InOrStdin())
			if path != nil {
				g.confirmed(&cfg, path)
			}
			if file != "" {
				lines, err := spool.Open(file, spool.Options{})
				if err != nil {
					return fmt.Errorf("--spool: %w", err)
				}
				defer lines.Close()
				if err := g.storeIn(&cfg, lines); err != nil {
					return fmt.Errorf("--spool: %w", err)
				}
				defer func() { g.reportStored(lines, file) }()
			}
			g.client = wsnotify.New(cfg)
			over := g.begin(ctx, url)
			read := make(chan error, 1)
			go func() {
				err := g.send(ctx, cmd.InOrStdin())
				g.endOfInput()
				read <- err
			}()

			var ended error // of Run
			select {
			case err = <-read:
				if err == nil {
					err = g.finish(ctx)
				}
				if closed := g.close(wsnotify.StatusNormalClosure, ""); err == nil {
					err = closed
				}
				ended = <-over
			case ended = <-over:
			}
			<-g.client.Done()
			return g.result(ctx, ended, err)
		},
	}
	conn.flags(cmd)
	frame.flags(cmd.Flags())
	cmd.Flags().StringVar(&confirm, "confirm", "", "`path` of the id in a JSON line, such as id or meta.id: the line is sent again\nuntil the server has answered with a JSON message that has the same id there")
	cmd.Flags().StringVar(&file, "spool", "", "`file` that keeps lines until they are sent, or confirmed with --confirm: a second start\nwith the same file sends what is left")
	cmd.MarkFlagFilename("spool")
	often.flag(cmd.Flags())
	cmd.Flags().BoolVar(&frame.whole, "whole", false, "the whole input is one message")
	return cmd
}

// storeIn has messages stay in a file until they are sent. Those of an earlier start that are there count
// as given.
func (g *outgoing) storeIn(cfg *wsnotify.Config, lines *spool.Spool) error {
	cfg.Outbox.Store = lines
	last, before := "", cfg.OnError
	cfg.OnError = func(err error) {
		if before != nil {
			before(err)
		}
		// Removals are tried again, and delay what follows until then.
		for _, kind := range []error{spool.ErrDiskFull, spool.ErrReadOnly, spool.ErrFailed, spool.ErrDamaged} {
			if text := plain(err); errors.Is(err, kind) && text != last {
				last = text
				g.say("--spool: what was sent can't be removed: %s", text)
			}
		}
	}
	n, err := stored(lines)
	g.given = n
	return err
}

// reportStored says how many messages are left for the next start.
func (g *outgoing) reportStored(lines *spool.Spool, file string) {
	n, err := stored(lines)
	switch {
	case err != nil:
		g.say("--spool %s: %v", file, err)
	case n > 0:
		g.say("%s in %s for the next start", messages(n), file)
	}
}

// stored counts the messages in a file.
func stored(s *spool.Spool) (n int, err error) {
	err = s.Load(func(uint64, wsnotify.Message) error { n++; return nil })
	return n, err
}
