package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

func listenCommand() *cobra.Command {
	var (
		conn    connection
		rec     recording
		look    looks
		frame   framing
		streams streams
		asJSON  bool
		raw     bool
		filter  []string
		command string
		limit   int
	)
	cmd := &cobra.Command{
		Use:   "listen URL",
		Short: "Print notifications as they arrive",
		Long: `Listen prints notifications as they arrive: for people on a terminal, and one
JSON object a line with --json or when the output is piped. A status line on the
terminal says how the connection is doing.

A notification is a text message {"msgType": …, "content": …}. Any other message is
shown as it came. With --raw all are, and nothing is added to them.

What --subscribe says is subscribed to again on each connection, before anything else
is sent. If the messages of the server are numbered, --resume-field names the field of
the number, and a reconnect asks for what was missed: ?after=17.`,
		Example: `  wsnotify listen ws://localhost:8080/ws/ --user ada
  wsnotify listen wss://example.com/ws/ --user ada --token-file token --attempts -1
  wsnotify listen example.com/ws/ --user ada --json | jq -r .content
  wsnotify listen example.com/feed --raw >feed.jsonl
  wsnotify listen example.com/ws/ -u ada --exec 'notify-send "$MSG_TYPE" "$CONTENT"'
  wsnotify listen example.com/ws/ -u ada --resume-field seq
  wsnotify listen example.com/feed --raw --subscribe orders --subscribe prices
  wsnotify listen example.com/ws/ -u ada --filter deploy --count 1 --timeout 5m`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) (result error) {
			switch {
			case raw && asJSON:
				return usage("--raw and --json exclude each other")
			case raw && len(filter) > 0:
				return usage("--raw takes no message apart, so that --filter can't be used with it")
			}
			for _, name := range changed(cmd, "base64", "null") {
				if !raw {
					return usage("%s is of no use without --raw", name)
				}
			}
			if err := checkCommand(command); err != nil {
				return err
			}
			cfg, url, err := conn.config(cmd, args[0])
			if err != nil {
				return err
			}
			if err := streams.config(cmd, &cfg); err != nil {
				return err
			}
			recorded, err := rec.begin(&cfg)
			if err != nil {
				return err
			}
			defer func() { result = recorded(result) }()
			out := newDisplay(cmd.OutOrStdout(), cmd.ErrOrStderr(), look, conn.quiet)
			out.asJSON = asJSON || !out.tty && look.color != "always"
			ctx, cancel := conn.limited(cmd.Context())
			defer cancel()

			seen := 0
			var broken error // of the output
			show := func(r record, print func() error) {
				if len(filter) > 0 && !slices.Contains(filter, r.MsgType) || ctx.Err() != nil {
					return
				}
				if broken = print(); broken != nil {
					cancel()
					return
				}
				if command != "" {
					if err := execute(ctx, command, r, out); err != nil {
						out.say("--exec: %v", err)
					}
				}
				if seen++; seen == limit {
					cancel()
				}
			}
			if raw {
				cfg.OnMessage = func(m wsnotify.Message) {
					show(newRecord(m), func() error { return out.raw(m, &frame) })
				}
			} else {
				// Each message comes by exactly one of these.
				cfg.OnMessage = func(m wsnotify.Message) {
					if r := newRecord(m); m.Type == wsnotify.MessageBinary {
						show(r, func() error { return out.print(r) })
					}
				}
				cfg.OnNotification = func(n wsnotify.Notification) {
					r := notificationRecord(n)
					show(r, func() error { return out.print(r) })
				}
				cfg.OnError = func(err error) {
					if parse := (*wsnotify.ParseError)(nil); errors.As(err, &parse) {
						r := newRecord(wsnotify.Message{Type: wsnotify.MessageText, Data: parse.Data, Epoch: out.epoch()})
						show(r, func() error { return out.print(r) })
					}
				}
			}
			streams.notes(out.say, &cfg)
			note := conn.notes(out.say, &cfg)
			conn.serverPings(note, &cfg)
			cfg.ShouldReconnect = conn.retry()
			client := wsnotify.New(cfg)
			if err := streams.subscribe(client); err != nil {
				return err
			}
			out.epoch = func() uint64 { return client.Status().Epoch }
			if !conn.quiet {
				out.watch(client)
			}
			go conn.pings(ctx, client, note)
			err = client.Run(ctx, url, conn.user)
			<-client.Done()
			out.end()
			switch {
			case broken != nil:
				return fmt.Errorf("writing: %w", broken)
			case limit > 0 && seen >= limit:
				return nil
			case errors.Is(err, context.DeadlineExceeded):
				text := fmt.Sprintf("%d of %d notifications came within %v", seen, limit, conn.timeout)
				switch status := client.Status(); {
				case status.Epoch > 0 && limit == 0:
					return nil
				case status.Epoch > 0:
				case status.LastFailure == nil:
					text = fmt.Sprintf("no connection within %v", conn.timeout)
				default:
					text = fmt.Sprintf("no connection within %v: %s", conn.timeout, cause(*status.LastFailure))
				}
				return &failure{code: exitTimeout, err: errors.New(text)}
			}
			return outcome(err)
		},
	}
	streams.flags(cmd)
	conn.flags(cmd)
	rec.flags(cmd)
	look.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object a line, also on a terminal")
	f.BoolVar(&raw, "raw", false, "print messages as they are")
	f.BoolVar(&frame.base64, "base64", false, "with --raw, print binary messages in base64")
	f.BoolVarP(&frame.zero, "null", "0", false, "with --raw, end messages with a NUL")
	f.StringArrayVar(&filter, "filter", nil, "only notifications of this `TYPE`; may be repeated")
	f.StringVar(&command, "exec", "", "shell `command` for each message, one after another, with MSG_TYPE, CONTENT,\nFALLBACK and EPOCH in its environment and the JSON on its standard input")
	f.Var(count{at: &limit}, "count", "end after `N` notifications; 0 for never")
	return cmd
}
