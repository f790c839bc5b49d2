package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/chzyer/readline"
	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/handshake"
)

// chat is the conversation on a terminal.
func (t *talk) chat(ctx context.Context, cfg wsnotify.Config, url string, g *outgoing, out *display) error {
	out.chatting = true
	cfg.OnMessage = func(m wsnotify.Message) { out.raw(m, &t.framing) }
	opened := cfg.OnOpen // of notes
	cfg.OnOpen = func(ev wsnotify.OpenEvent) {
		text := "connected to " + handshake.RedactedText(ev.URL)
		if ev.Subprotocol != "" {
			text += ", subprotocol " + ev.Subprotocol
		}
		if ev.Epoch == 1 {
			text += "; /help lists the commands"
		}
		if !t.quiet {
			out.say("%s", text)
		}
		opened(ev)
	}
	g.client = wsnotify.New(cfg)
	t.streams.subscribe(g.client)
	over := g.begin(ctx, url)
	go t.pings(ctx, g.client, out.say)

	code, reason := wsnotify.StatusNormalClosure, ""
	select {
	case <-g.open:
		code, reason = t.converse(ctx, g, out)
	case <-g.client.Done():
	case <-ctx.Done():
	}
	err := g.close(code, reason)
	ended := <-over
	<-g.client.Done()
	if last := g.lastClose; g.ours && !t.quiet && !isOdd(last.Code) && outcome(ended) == nil {
		out.say("closed with %s", closeText(last.Code, last.Reason))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) && g.opened {
		return nil
	}
	g.reportLost()
	g.lost -= g.told // somebody has seen that
	return g.result(ctx, t.ending(ended, g), err)
}

// converse reads lines and does what they say, until the end. It returns what
// to close with.
func (t *talk) converse(ctx context.Context, g *outgoing, out *display) (code wsnotify.StatusCode, reason string) {
	code = wsnotify.StatusNormalClosure
	editor, err := newEditor(out)
	if err != nil {
		out.say("no line editor: %v", err)
		return code, ""
	}
	go func() {
		select {
		case <-ctx.Done():
		case <-g.client.Done(): // which comes after the conversation, too
		}
		editor.lines.Close() // so that the reading ends
	}()
	for {
		line, err := editor.lines.Readline()
		switch {
		case errors.Is(err, readline.ErrInterrupt):
			if interrupt, ok := ctx.Value(interruptKey{}).(context.CancelFunc); ok {
				interrupt()
			}
			return code, ""
		case err != nil:
			if !errors.Is(err, io.EOF) {
				out.say("reading: %v", err)
			}
			return code, ""
		case strings.HasPrefix(line, "//"):
			t.say(ctx, g, out, line[1:])
		case strings.HasPrefix(line, "/"):
			if c, r, end := t.command(ctx, g, out, line); end {
				return c, r
			}
		case line != "":
			t.say(ctx, g, out, line)
		}
	}
}

// say sends a line.
func (t *talk) say(ctx context.Context, g *outgoing, out *display, line string) {
	data, err := t.framing.decode(line)
	if err != nil {
		out.say("not sent: %v", err)
		return
	}
	if !g.client.IsConnected() {
		out.say("there is no connection; it is sent when there is one")
	}
	if err := g.queue(ctx, data); err != nil && ctx.Err() == nil {
		out.say("not sent: %v", err)
	}
}

const chatHelp = `/ping             ask for a sign of life
/close CODE WHY   close with 1000 or 3000 to 4999, and end
/quit, Ctrl-D     close with 1000, and end
//text            send "/text"`

// command does what a line that begins with a slash says.
func (t *talk) command(ctx context.Context, g *outgoing, out *display, line string) (code wsnotify.StatusCode, reason string, end bool) {
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "/quit", "/exit", "/q":
		return wsnotify.StatusNormalClosure, "", true
	case "/close":
		number, reason, _ := strings.Cut(rest, " ")
		if number == "" {
			number = "1000"
		}
		n, _ := strconv.Atoi(number)
		switch {
		case n != 1000 && (n < 3000 || n > 4999):
			out.say("/close %s: expected 1000, or a code from 3000 to 4999", number)
		case len(reason) > 123:
			out.say("/close: the reason has %d bytes; 123 is the most", len(reason))
		default:
			return wsnotify.StatusCode(n), reason, true
		}
	case "/ping":
		go func() {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			rtt, err := g.client.Ping(ctx)
			switch {
			case err == nil:
				out.say("pong after %v", roundTrip(rtt))
			case errors.Is(err, context.DeadlineExceeded):
				out.say("no pong within 10s")
			case !errors.Is(err, context.Canceled):
				out.say("no pong: %v", err)
			}
		}()
	case "/help", "/?":
		for line := range strings.Lines(chatHelp) {
			out.say("%s", strings.TrimSuffix(line, "\n"))
		}
	default:
		out.say("%s is no command; /help lists them, and /%s sends it", verb, line)
	}
	return 0, "", false
}

// editor is the line that somebody types, with what else is printed above it.
// The module draws it again around what is written while it reads. Before it
// reads, and after the line's end until the line is accepted, it doesn't, so
// writers wait for that.
type editor struct {
	lines *readline.Instance
	raw   readline.RawMode
	under io.Writer

	mu      sync.Mutex
	editing bool
}

func newEditor(out *display) (*editor, error) {
	e := &editor{under: out.out}
	var err error
	e.lines, err = readline.NewEx(&readline.Config{
		Prompt:       "> ",
		HistoryLimit: 1000,
		AutoComplete: readline.NewPrefixCompleter(
			readline.PcItem("/ping"), readline.PcItem("/close"), readline.PcItem("/quit"), readline.PcItem("/help")),
		HistorySearchFold: true,
		FuncMakeRaw: func() error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.editing = true
			return e.raw.Enter()
		},
		FuncExitRaw: func() error {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.editing = false
			return e.raw.Exit()
		},
	})
	if err != nil {
		return nil, fmt.Errorf("the terminal: %w", err)
	}
	out.through(e)
	return e, nil
}

func (e *editor) Write(p []byte) (int, error) {
	for {
		e.mu.Lock()
		switch {
		case !e.editing:
			defer e.mu.Unlock()
			return e.under.Write(p)
		case e.lines.Terminal.IsReading():
			defer e.mu.Unlock()
			return e.lines.Stdout().Write(p)
		}
		e.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
}

// through has all be written by w, where it would go to a terminal.
func (d *display) through(w io.Writer) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.out = w
	if isTerminal(d.err) {
		d.err = w
	}
}
