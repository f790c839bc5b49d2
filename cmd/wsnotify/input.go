package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
	"golang.org/x/term"
)

// How outgoing takes messages from an input.

// send takes messages from r, and waits for room instead of dropping. An input that can't be read
// has ended: what was read is sent.
func (g *outgoing) send(ctx context.Context, r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for number := 1; ; number++ {
		line, err := g.frame.next(in)
		name := "line"
		if g.frame.zero || g.frame.whole {
			name = "message"
		}
		switch {
		case errors.Is(err, errTooLong):
			g.refuse("not sent: %s %d is longer than %s: --max-line raises that", name, number, bytesText(g.frame.maxLine))
			if g.frame.whole {
				return nil
			}
			continue
		case err != nil && !errors.Is(err, io.EOF):
			g.refuseRest(fmt.Sprintf("reading the input: %s %d: %v", name, number, err))
			return nil
		case err != nil && line == "" && !(g.frame.whole && number == 1):
			return nil
		}
		if data, wrong := g.frame.decode(line); wrong != nil {
			g.refuse("not sent: %s %d: %v", name, number, wrong)
		} else if g.ids != nil && g.ids.in(data) == "" {
			g.refuse("not sent: %s %d has no %q, by which the server would confirm it", name, number, strings.Join(g.ids, "."))
		} else if refused := g.queue(ctx, data); refused != nil {
			text := fmt.Sprintf("not sent: %s %d and what follows", name, number)
			if ctx.Err() == nil && !errors.Is(refused, wsnotify.ErrClosed) { // else it is told why all ends
				text += ": " + plain(refused)
			}
			g.refuseRest(text)
			return refused
		}
		if err != nil {
			return nil
		}
	}
}

// refuse reports a message that can't be sent.
func (g *outgoing) refuse(format string, args ...any) {
	g.say(format, args...)
	g.mu.Lock()
	g.refused++
	g.mu.Unlock()
}

// refuseRest notes, for the end, why nothing more is sent.
func (g *outgoing) refuseRest(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.refused++
	g.unsent = append(g.unsent, text)
}

// queue hands a message over, and waits while there is no room for it.
func (g *outgoing) queue(ctx context.Context, data []byte) error {
	for wait := time.Duration(0); ; wait = min(max(2*wait, 10*time.Millisecond), time.Second) {
		g.mu.Lock()
		err := g.client.Enqueue(g.frame.messageType(), data)
		if err == nil {
			g.given++
		}
		g.mu.Unlock()
		switch {
		case err == nil:
			g.poke()
			return nil
		case !errors.Is(err, wsnotify.ErrOutboxFull) && !errors.Is(err, spool.ErrFull):
			return err
		}
		if err := g.client.Flush(ctx); err != nil {
			return err
		}
		// What is done leaves the outbox and the file a little later; much later, where the disk is full.
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// isOver reports whether an input won't hold more than it does: a terminal has
// somebody who sees what happens, and a file has an end.
func isOver(r io.Reader) bool {
	f, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return term.IsTerminal(int(f.Fd())) || err == nil && (info.Mode().IsRegular() || info.Mode()&os.ModeCharDevice != 0)
}
