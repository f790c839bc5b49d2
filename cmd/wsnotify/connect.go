package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// talk is a conversation with a server: on a terminal with a line editor, and
// else lines in and messages out.
type talk struct {
	connection
	rec recording
	looks
	framing
	streams     streams
	one         bool
	texts       []string
	wait        time.Duration
	noReconnect bool
}

func (t *talk) flags(cmd *cobra.Command) {
	t.wait = 2 * time.Second
	f := cmd.Flags()
	f.SortFlags = false
	f.StringArrayVarP(&t.texts, "execute", "x", nil, "send this `text` instead of the input; may be repeated")
	f.VarP(duration{at: &t.wait}, "wait", "w", "`time` to wait for answers when all is sent")
	f.BoolVarP(&t.one, "one", "1", false, "end after one message has come; without --wait, wait for it as long as it takes")
	f.BoolVar(&t.noReconnect, "no-reconnect", false, "end at the first loss of the connection")
	t.framing.flags(f)
	t.streams.flags(cmd)
	t.rec.flags(cmd)
	t.looks.flags(cmd)
	t.connection.flags(cmd)
}

func connectCommand() *cobra.Command {
	t := new(talk)
	cmd := &cobra.Command{
		Use:   "connect URL",
		Short: "Talk to a server",
		Long: `Connect talks to a server. On a terminal each line that you type is sent as a text
message, and what comes is printed above the line. The arrow keys and Ctrl-R find
older lines. Lines that begin with a slash are commands:

  /ping               ask for a sign of life, and say how long it took
  /close 4000 bye     close with a code and a reason, and end
  /quit, Ctrl-D       close with 1000, and end; so does Ctrl-C, and a second at once
  //text              send "/text"

In a pipe the lines of the input are sent, and messages are printed one a line.
When the input has ended, answers are waited for; see --wait and -1.

The first attempt is final if it fails, unless --attempts is given or the input of
a pipe goes on. A connection that was open and is lost is made again.`,
		Example: `  wsnotify connect localhost:8080/ws/ada
  wsnotify connect wss://example.com/ws/ -u ada --token-file token
  wsnotify connect example.com/api -x '{"op":"status"}' -1 | jq .
  wsnotify connect example.com/feed --subscribe orders --subscribe-message '{"sub":KEY}'
  seq 100 | wsnotify connect example.com/echo --rate 5/s
  seq 3 | wsnotify connect example.com/echo --wait 1s
  wsnotify connect ws+unix:/run/app.sock:/events --no-reconnect`,
		Args: oneURL,
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd, args[0]) },
	}
	t.flags(cmd)
	return cmd
}

func (t *talk) run(cmd *cobra.Command, to string) error {
	if err := t.framing.check(); err != nil {
		return err
	}
	cfg, url, err := t.config(cmd, to)
	if err != nil {
		return err
	}
	if err := t.streams.config(cmd, &cfg); err != nil {
		return err
	}
	recorded, err := t.rec.begin(&cfg)
	if err != nil {
		return err
	}
	ctx, cancel := t.limited(cmd.Context())
	defer cancel()
	out := newDisplay(cmd.OutOrStdout(), cmd.ErrOrStderr(), t.looks, t.quiet)
	out.live = nil
	t.streams.notes(out.say, &cfg)
	note := t.notes(out.say, &cfg)
	t.serverPings(note, &cfg)
	g := newOutgoing(&t.connection, &t.framing, &cfg, note)
	g.anew = true
	g.eager = !cmd.Flags().Changed("attempts")
	g.ended = len(t.texts) > 0 || isOver(cmd.InOrStdin())
	retry := cfg.ShouldReconnect
	cfg.ShouldReconnect = func(f wsnotify.Failure) bool {
		return retry(f) && !(t.noReconnect && f.Phase == wsnotify.PhaseOpen)
	}
	if len(t.texts) == 0 && !t.one && isTerminal(cmd.InOrStdin()) && out.tty && os.Getenv("TERM") != "dumb" {
		return recorded(t.chat(ctx, cfg, url, g, out))
	}
	return recorded(t.pipe(ctx, cmd, cfg, url, g, out))
}

// pipe sends the input and prints what comes.
func (t *talk) pipe(ctx context.Context, cmd *cobra.Command, cfg wsnotify.Config, url string, g *outgoing, out *display) error {
	var broken error              // of the output
	enough := make(chan struct{}) // closed when no more is wanted
	ended := func() bool {        // in callbacks only
		select {
		case <-enough:
			return true
		default:
			return false
		}
	}
	cfg.OnMessage = func(m wsnotify.Message) {
		if ended() {
			return
		}
		if broken = out.raw(m, &t.framing); broken != nil || t.one {
			close(enough)
		}
	}
	g.client = wsnotify.New(cfg)
	t.streams.subscribe(g.client)
	over := g.begin(ctx, url)
	go t.pings(ctx, g.client, out.say)
	sent := make(chan error, 1)
	given := make(chan struct{}) // closed when the input has ended
	go func() {
		err := t.input(ctx, cmd, g)
		close(given)
		g.endOfInput()
		if err == nil {
			err = g.finish(ctx)
		}
		if err == nil {
			g.allSent()
		}
		sent <- err
	}()

	var err error
	late := false // no message came with --one
	select {
	case ended := <-over:
		over <- ended
	case <-enough:
	case err = <-sent:
		var timer <-chan time.Time
		if !t.one || cmd.Flags().Changed("wait") {
			timer = time.After(t.wait)
		}
		select {
		case ended := <-over:
			over <- ended
		case <-enough:
		case <-timer:
			late = t.one
		case <-ctx.Done():
		}
	}
	if err == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, wsnotify.ErrClosed) {
		if closed := g.close(wsnotify.StatusNormalClosure, ""); err == nil {
			err = closed
		}
	} else {
		err = nil // result says why
	}
	runErr := <-over
	<-g.client.Done()
	if len(t.texts) > 0 {
		<-given // which texts were not
	}
	defer g.reportLost() // of what result does not say
	switch {
	case broken != nil:
		return fmt.Errorf("writing: %w", broken)
	case t.one && ended():
		return nil
	case late:
		return &failure{code: exitTimeout, err: fmt.Errorf("no message came within %v", t.wait)}
	case t.one && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return &failure{code: exitTimeout, err: fmt.Errorf("no message came within %v", t.timeout)}
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && g.wasAllSent() && g.lost == 0:
		return nil
	}
	return g.result(ctx, t.ending(runErr, g), err)
}

// ending is what Run returned, without what is as it should be: a server that
// has said good-bye, or has gone when nothing was left to do.
func (t *talk) ending(err error, g *outgoing) error {
	var gaveUp *wsnotify.GiveUpError
	var closed wsnotify.CloseError
	if !errors.As(err, &gaveUp) || gaveUp.Failure.Phase != wsnotify.PhaseOpen || t.one {
		return err
	}
	if errors.As(gaveUp.Failure.Err, &closed) {
		if !isOdd(closed.Code) && (t.noReconnect || g.wasAllSent()) {
			return nil
		}
	} else if g.wasAllSent() && wsnotify.FailFast(gaveUp.Failure) { // an answer that is too big was not printed
		return nil
	}
	return err
}

// input sends the texts, or what comes from the standard input.
func (t *talk) input(ctx context.Context, cmd *cobra.Command, g *outgoing) error {
	if len(t.texts) == 0 {
		return g.send(ctx, cmd.InOrStdin())
	}
	for i, text := range t.texts {
		data, err := t.framing.decode(text)
		if err != nil {
			g.refuse("not sent: -x %q: %v", shorten(text, 40), err)
			continue
		}
		if err := g.queue(ctx, data); err != nil { // the client has ended, maybe before it got anything
			g.mu.Lock()
			for _, text := range t.texts[i:] {
				g.refused++
				g.behind = append(g.behind, "not delivered: "+shorten(text, 200))
			}
			g.mu.Unlock()
			return err
		}
	}
	return nil
}
