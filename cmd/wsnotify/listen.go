package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// record is a notification as --json prints it, and as --exec gets it.
type record struct {
	Time     time.Time       `json:"time"`
	MsgType  string          `json:"msgType"`
	Content  json.RawMessage `json:"content"` // a string, or the JSON that the server sent
	Fallback bool            `json:"fallback"`
	Epoch    uint64          `json:"epoch"`
}

func newRecord(n wsnotify.Notification) record {
	var content json.RawMessage
	if n.Decode(&content) != nil || n.Fallback {
		content, _ = json.Marshal(n.Content)
	}
	return record{Time: time.Now(), MsgType: n.MsgType, Content: content, Fallback: n.Fallback, Epoch: n.Epoch}
}

func listenCommand() *cobra.Command {
	var (
		conn    connection
		asJSON  bool
		colour  string
		filter  []string
		command string
		count   int
	)
	cmd := &cobra.Command{
		Use:   "listen URL",
		Short: "Print notifications as they arrive",
		Long: `Listen prints notifications as they arrive: for people on a terminal, and one
JSON object a line with --json or when the output is piped. A status line on the
terminal says how the connection is doing.

A notification is a text message {"msgType": …, "content": …}.`,
		Example: `  wsnotify listen ws://localhost:8080/ws/ --user ada
  wsnotify listen wss://example.com/ws/ --user ada --token-file token --attempts -1
  wsnotify listen example.com/ws/ --user ada --json | jq -r .content
  wsnotify listen example.com/ws/ -u ada --exec 'notify-send "$MSG_TYPE" "$CONTENT"'
  wsnotify listen example.com/ws/ -u ada --filter deploy --count 1 --timeout 5m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := conn.config(cmd)
			if err != nil {
				return err
			}
			if count < 0 {
				return usage("--count must not be negative")
			}
			out, err := newDisplay(cmd.OutOrStdout(), cmd.ErrOrStderr(), asJSON, colour)
			if err != nil {
				return err
			}
			ctx, cancel := conn.limited(cmd.Context())
			defer cancel()

			seen := 0
			var broken error // of the output
			cfg.OnNotification = func(n wsnotify.Notification) {
				if len(filter) > 0 && !slices.Contains(filter, n.MsgType) || ctx.Err() != nil {
					return
				}
				r := newRecord(n)
				if broken = out.print(r, n); broken != nil {
					cancel()
					return
				}
				if command != "" {
					if err := execute(ctx, command, r, n, out); err != nil {
						out.say("--exec: %v", err)
					}
				}
				if seen++; seen == count {
					cancel()
				}
			}
			cfg.OnReconnecting = func(ev wsnotify.ReconnectEvent) {
				out.say("attempt %d in %v: %s", ev.Attempt, ev.Delay.Round(time.Millisecond), cause(ev.Failure))
			}
			cfg.OnError = func(err error) {
				var parse *wsnotify.ParseError
				var decode *wsnotify.DecodeError
				if errors.As(err, &parse) || errors.As(err, &decode) {
					out.say("%v", err)
				}
			}
			client := wsnotify.New(cfg)
			out.watch(client)
			err = client.Run(ctx, address(args[0]), conn.user)
			<-client.Done()
			out.end()
			switch {
			case broken != nil:
				return fmt.Errorf("writing: %w", broken)
			case count > 0 && seen >= count:
				return nil
			case errors.Is(err, context.DeadlineExceeded):
				if count > 0 {
					return &failure{exitTimeout, fmt.Errorf("%d of %d notifications came within %v", seen, count, conn.timeout)}
				}
				return nil
			}
			return outcome(err)
		},
	}
	conn.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print one JSON object a line, also on a terminal")
	f.StringVar(&colour, "color", "auto", "`when` to use colour: auto, always or never")
	f.StringArrayVar(&filter, "filter", nil, "only notifications of this `TYPE`; may be repeated")
	f.StringVar(&command, "exec", "", "shell `command` for each notification, one after another, with MSG_TYPE, CONTENT,\nFALLBACK and EPOCH in its environment and the JSON on its standard input")
	f.IntVar(&count, "count", 0, "end after `N` notifications; 0 for never")
	cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}
