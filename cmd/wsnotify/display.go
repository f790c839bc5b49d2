package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fatih/color"
	"github.com/mattn/go-runewidth"
	"github.com/wsnotify/wsnotify"
	"golang.org/x/term"
)

// display prints notifications to one stream, and what is said of the
// connection to the other. On a terminal the last line of that is a status
// that is drawn again and again; whoever prints takes it away first.
type display struct {
	out, err io.Writer
	asJSON   bool
	live     *os.File // the terminal of the status line; nil for none

	dim, strong *color.Color

	mu     sync.Mutex
	width  int    // of the type column
	shown  string // the status that stands there; empty for none
	status func() string
	stop   chan struct{}
	ended  chan struct{}
}

func newDisplay(out, err io.Writer, asJSON bool, colour string) (*display, error) {
	d := &display{out: out, err: err, asJSON: asJSON, width: 8, dim: color.New(color.Faint), strong: color.New(color.Bold, color.FgCyan)}
	tty := isTerminal(out)
	d.asJSON = asJSON || !tty && colour != "always"
	switch colour {
	case "auto":
		if !tty || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
			d.dim.DisableColor()
			d.strong.DisableColor()
		} else {
			d.dim.EnableColor()
			d.strong.EnableColor()
		}
	case "always":
		d.dim.EnableColor()
		d.strong.EnableColor()
	case "never":
		d.dim.DisableColor()
		d.strong.DisableColor()
	default:
		return nil, usage("--color must be auto, always or never")
	}
	if isTerminal(err) && os.Getenv("TERM") != "dumb" {
		d.live = err.(*os.File)
	}
	return d, nil
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// print shows a notification.
func (d *display) print(r record, n wsnotify.Notification) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	if d.asJSON {
		line, err := json.Marshal(r)
		if err == nil {
			_, err = fmt.Fprintf(d.out, "%s\n", line)
		}
		return err
	}
	kind := oneLine(n.MsgType)
	if n.Fallback && kind == "" {
		kind = "-"
	}
	d.width = min(max(d.width, runewidth.StringWidth(kind)), 24)
	const clock = "15:04:05"
	margin := strings.Repeat(" ", len(clock)+2+d.width+2)
	text := strings.ReplaceAll(printable(n.Content), "\n", "\n"+margin)
	_, err := fmt.Fprintf(d.out, "%s  %s  %s\n", d.dim.Sprint(r.Time.Format(clock)), d.strong.Sprint(runewidth.FillRight(kind, d.width)), text)
	return err
}

// say tells something of the connection.
func (d *display) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	fmt.Fprintln(d.err, "wsnotify:", brief(fmt.Sprintf(format, args...)))
}

// text shows what a command has printed.
func (d *display) text(p []byte) {
	if len(p) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	d.err.Write(p)
	if p[len(p)-1] != '\n' {
		fmt.Fprintln(d.err)
	}
}

// watch begins to show the status of a client.
func (d *display) watch(c *wsnotify.Client) {
	if d.live == nil {
		return
	}
	d.stop, d.ended = make(chan struct{}), make(chan struct{})
	d.status = func() string { return statusLine(c.Status(), time.Now()) }
	go func() {
		defer close(d.ended)
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			d.mu.Lock()
			if d.line() != d.shown {
				d.hide()
				d.show()
			}
			d.mu.Unlock()
			select {
			case <-tick.C:
			case <-d.stop:
				return
			}
		}
	}()
}

// end takes the status away for good.
func (d *display) end() {
	if d.stop == nil {
		return
	}
	close(d.stop)
	<-d.ended
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	d.status = nil
}

// hide, show and line are called with mu. A line that is never as wide as the
// terminal stays one line.
func (d *display) hide() {
	if d.shown != "" {
		fmt.Fprint(d.live, "\r\x1b[K")
		d.shown = ""
	}
}

func (d *display) show() {
	if d.status != nil {
		d.shown = d.line()
		fmt.Fprint(d.live, d.shown)
	}
}

func (d *display) line() string {
	width, _, err := term.GetSize(int(d.live.Fd()))
	if err != nil || width <= 0 {
		width = 80
	}
	return runewidth.Truncate(oneLine(d.status()), width-1, "…")
}

// statusLine says how a client is doing.
func statusLine(s wsnotify.Status, now time.Time) string {
	var b strings.Builder
	b.WriteString(s.ReadyState.String())
	switch {
	case s.ReadyState == wsnotify.Open:
		fmt.Fprintf(&b, " for %v", now.Sub(s.OpenSince).Truncate(time.Second))
		if s.RTT > 0 {
			unit := time.Microsecond
			if s.RTT > 10*time.Millisecond {
				unit = time.Millisecond
			}
			fmt.Fprintf(&b, ", round trip %v", s.RTT.Round(unit))
		}
	case !s.NextAttempt.IsZero():
		fmt.Fprintf(&b, ", attempt %d in %v", s.ReconnectAttempts, max(0, s.NextAttempt.Sub(now)).Round(time.Second))
		if s.LastFailure != nil {
			fmt.Fprintf(&b, ": %s", brief(cause(*s.LastFailure)))
		}
	case s.ReadyState == wsnotify.Connecting && s.ReconnectAttempts > 0:
		fmt.Fprintf(&b, ", attempt %d", s.ReconnectAttempts)
	}
	return b.String()
}

// printable escapes what would do something to a terminal, but for line ends.
func printable(s string) string {
	var b strings.Builder
	for _, r := range strings.TrimRight(s, "\n") {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r == '\t':
			b.WriteString("    ")
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
	}
	return b.String()
}

func oneLine(s string) string { return strings.ReplaceAll(printable(s), "\n", `\n`) }

// brief is an error for people: its name is that of this program.
func brief(s string) string { return oneLine(strings.ReplaceAll(s, "wsnotify: ", "")) }
