package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// listener is a run of wsnotify listen.
type listener struct {
	// Flags.
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

	ctx    context.Context
	cancel context.CancelFunc
	out    *display
	seen   int
	broken error // of the output
}

func listenCommand() *cobra.Command {
	l := &listener{}
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
		RunE: func(cmd *cobra.Command, args []string) error { return l.run(cmd, args[0]) },
	}
	l.streams.flags(cmd)
	l.conn.flags(cmd)
	l.rec.flags(cmd)
	l.look.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&l.asJSON, "json", false, "print one JSON object a line, also on a terminal")
	f.BoolVar(&l.raw, "raw", false, "print messages as they are")
	f.BoolVar(&l.frame.base64, "base64", false, "with --raw, print binary messages in base64")
	f.BoolVarP(&l.frame.zero, "null", "0", false, "with --raw, end messages with a NUL")
	f.StringArrayVar(&l.filter, "filter", nil, "only notifications of this `TYPE`; may be repeated")
	f.StringVar(&l.command, "exec", "", "shell `command` for each message, one after another, with MSG_TYPE, CONTENT,\nFALLBACK and EPOCH in its environment and the JSON on its standard input")
	f.Var(count{at: &l.limit}, "count", "end after `N` notifications; 0 for never")
	return cmd
}

func (l *listener) run(cmd *cobra.Command, address string) (result error) {
	if err := l.check(cmd); err != nil {
		return err
	}
	cfg, url, err := l.conn.config(cmd, address)
	if err != nil {
		return err
	}
	if err := l.streams.config(cmd, &cfg); err != nil {
		return err
	}
	recorded, err := l.rec.begin(&cfg)
	if err != nil {
		return err
	}
	defer func() { result = recorded(result) }()
	l.out = newDisplay(cmd.OutOrStdout(), cmd.ErrOrStderr(), l.look, l.conn.quiet)
	l.out.asJSON = l.asJSON || !l.out.tty && l.look.color != "always"
	l.ctx, l.cancel = l.conn.limited(cmd.Context())
	defer l.cancel()

	l.showMessages(&cfg)
	l.streams.notes(l.out.say, &cfg)
	note := l.conn.notes(l.out.say, &cfg)
	l.conn.serverPings(note, &cfg)
	cfg.ShouldReconnect = l.conn.retry()
	client := wsnotify.New(cfg)
	l.streams.subscribe(client)
	l.out.epoch = func() uint64 { return client.Status().Epoch }
	if !l.conn.quiet {
		l.out.watch(client)
	}
	go l.conn.pings(l.ctx, client, note)
	err = client.Run(l.ctx, url, l.conn.user)
	<-client.Done()
	l.out.end()
	return l.outcome(err, client.Status())
}

// check refuses flags that exclude each other, or are of no use.
func (l *listener) check(cmd *cobra.Command) error {
	switch {
	case l.raw && l.asJSON:
		return usage("--raw and --json exclude each other")
	case l.raw && len(l.filter) > 0:
		return usage("--raw takes no message apart, so that --filter can't be used with it")
	}
	for _, name := range changed(cmd, "base64", "null") {
		if !l.raw {
			return usage("%s is of no use without --raw", name)
		}
	}
	return checkCommand(l.command)
}

// showMessages sets the callbacks that show what comes. Each message comes by exactly
// one of them.
func (l *listener) showMessages(cfg *wsnotify.Config) {
	if l.raw {
		cfg.OnMessage = func(m wsnotify.Message) {
			l.show(newRecord(m), func() error { return l.out.raw(m, &l.frame) })
		}
		return
	}
	show := func(r record) { l.show(r, func() error { return l.out.print(r) }) }
	cfg.OnMessage = func(m wsnotify.Message) {
		if m.Type == wsnotify.MessageBinary {
			show(newRecord(m))
		}
	}
	cfg.OnNotification = func(n wsnotify.Notification) { show(notificationRecord(n)) }
	cfg.OnError = func(err error) {
		if parse := (*wsnotify.ParseError)(nil); errors.As(err, &parse) {
			show(newRecord(wsnotify.Message{Type: wsnotify.MessageText, Data: parse.Data, Epoch: l.out.epoch()}))
		}
	}
}

// show prints a record by print, unless it is filtered out, and runs the command for it.
func (l *listener) show(r record, print func() error) {
	if len(l.filter) > 0 && !slices.Contains(l.filter, r.MsgType) || l.ctx.Err() != nil {
		return
	}
	if l.broken = print(); l.broken != nil {
		l.cancel()
		return
	}
	if l.command != "" {
		if err := execute(l.ctx, l.command, r, l.out); err != nil {
			l.out.say("--exec: %v", err)
		}
	}
	if l.seen++; l.seen == l.limit {
		l.cancel()
	}
}

// outcome is how the command ends. err is what Run returned.
func (l *listener) outcome(err error, status wsnotify.Status) error {
	switch {
	case l.broken != nil:
		return fmt.Errorf("writing: %w", l.broken)
	case l.limit > 0 && l.seen >= l.limit:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		text := fmt.Sprintf("%d of %d notifications came within %v", l.seen, l.limit, l.conn.timeout)
		switch {
		case status.Epoch > 0 && l.limit == 0:
			return nil
		case status.Epoch > 0:
		case status.LastFailure == nil:
			text = fmt.Sprintf("no connection within %v", l.conn.timeout)
		default:
			text = fmt.Sprintf("no connection within %v: %s", l.conn.timeout, cause(*status.LastFailure))
		}
		return &failure{code: exitTimeout, err: errors.New(text)}
	}
	return outcome(err)
}
