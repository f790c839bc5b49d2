package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fatih/color"
	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/wsnotify/wsnotify"
	"golang.org/x/term"
)

// display prints notifications to one stream, and what is said of the
// connection to the other. On a terminal the last line of that is a status
// that is drawn again and again; whoever prints takes it away first.
type display struct {
	out, err io.Writer
	look     looks
	quiet    bool
	asJSON   bool
	tty      bool          // out is a terminal
	errTTY   bool          // err is one
	chatting bool          // somebody types on it
	live     *os.File      // the terminal of the status line; nil for none
	epoch    func() uint64 // of the client

	dim, strong, bad *color.Color

	mu     sync.Mutex
	width  int    // of the type column
	shown  string // the status that stands there; empty for none
	status func() string
	stop   chan struct{}
	ended  chan struct{}
}

// looks holds the flags of what is printed.
type looks struct {
	color      string
	timestamps bool
}

func (l *looks) flags(cmd *cobra.Command) {
	words := []string{"auto", "always", "never"}
	l.color = "auto"
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	f.SortFlags = false
	f.Var(choice{&l.color, words}, "color", "`when` to use colour: auto, always or never")
	f.BoolVar(&l.timestamps, "timestamps", false, "begin each message with the time")
	maySet(f)
	cmd.Flags().AddFlagSet(f)
	cmd.RegisterFlagCompletionFunc("color", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

func newDisplay(out, err io.Writer, look looks, quiet bool) *display {
	d := &display{out: out, err: err, look: look, quiet: quiet, width: 8, tty: isTerminal(out), errTTY: isTerminal(err), dim: color.New(color.Faint),
		strong: color.New(color.Bold, color.FgCyan), bad: color.New(color.FgRed)}
	colour := look.color == "always" || look.color == "auto" && d.tty && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	for _, c := range []*color.Color{d.dim, d.strong, d.bad} {
		if colour {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
	}
	if d.errTTY && os.Getenv("TERM") != "dumb" {
		d.live = err.(*os.File)
	}
	return d
}

func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

const clock = "15:04:05"

// print shows a message to a person, or as JSON.
func (d *display) print(r record) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	if d.asJSON {
		line := r.json()
		if d.tty {
			line = escapeJSON(line)
		}
		_, err := fmt.Fprintf(d.out, "%s\n", line)
		return err
	}
	kind, text := oneLine(r.MsgType), printable(indented(r.text))
	switch {
	case r.Binary != nil:
		kind, text = "binary", hexText(r.Binary)
	case r.Fallback:
		kind = "-"
	}
	d.width = min(max(d.width, runewidth.StringWidth(kind)), 24)
	margin := strings.Repeat(" ", len(clock)+2+d.width+2)
	text = strings.ReplaceAll(text, "\n", "\n"+margin)
	_, err := fmt.Fprintf(d.out, "%s  %s  %s\n", d.dim.Sprint(r.Time.Format(clock)), d.strong.Sprint(runewidth.FillRight(kind, d.width)), text)
	return err
}

// raw prints a message as it is; to a terminal, as it can be shown.
func (d *display) raw(m wsnotify.Message, frame *framing) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	stamp := ""
	if d.look.timestamps {
		stamp = time.Now().Format(time.RFC3339Nano) + " "
		if d.tty {
			stamp = d.dim.Sprint(time.Now().Format(clock)) + "  "
		}
	}
	data := frame.encode(m)
	if d.tty {
		if text := printable(indented(string(m.Data))); m.Type == wsnotify.MessageText {
			data = []byte(text + "\n")
		} else if !frame.base64 {
			data = []byte(d.dim.Sprint("binary, "+hexText(m.Data)) + "\n")
		}
	}
	if d.chatting {
		stamp += d.strong.Sprint("<") + " "
	}
	if stamp != "" {
		data = append([]byte(stamp), data...)
	}
	_, err := d.out.Write(data)
	return err
}

// indented puts each member of a JSON object or array on a line of its own. Any other text stays as it is,
// and so does JSON that is long or deep: with each level, a line becomes longer.
func indented(text string) string {
	const maxBytes, maxDepth = 64 << 10, 16
	first := strings.TrimLeft(text, " \t\r\n")
	if len(text) > maxBytes || !strings.HasPrefix(first, "{") && !strings.HasPrefix(first, "[") {
		return text
	}
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return text
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	var b bytes.Buffer
	if json.Indent(&b, []byte(text), "", "  ") != nil {
		return text
	}
	return strings.TrimSpace(b.String())
}

// hexText shows the beginning of binary data.
func hexText(data []byte) string {
	const most = 32
	text := fmt.Sprintf("%d bytes", len(data))
	if len(data) == 1 {
		text = "1 byte"
	}
	if len(data) == 0 {
		return text
	}
	text += fmt.Sprintf(": % x", data[:min(len(data), most)])
	if len(data) > most {
		text += " …"
	}
	return text
}

// say prints something about the connection.
func (d *display) say(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	text := brief(fmt.Sprintf(format, args...))
	if d.chatting {
		fmt.Fprintln(d.err, d.dim.Sprint(text))
		return
	}
	fmt.Fprintln(d.err, "wsnotify:", text)
}

// text shows what a command has printed: on a terminal without what would do something to that, since
// it may come from a message.
func (d *display) text(p []byte) {
	if len(p) == 0 {
		return
	}
	if d.errTTY {
		p = []byte(printable(strings.ReplaceAll(string(p), "\r\n", "\n")))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hide()
	defer d.show()
	d.err.Write(p)
	if len(p) == 0 || p[len(p)-1] != '\n' {
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
			fmt.Fprintf(&b, ", round trip %v", roundTrip(s.RTT))
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

// roundTrip rounds a time to what somebody reads.
func roundTrip(d time.Duration) time.Duration {
	if d > 10*time.Millisecond {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Microsecond)
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

// escapeJSON is printable for JSON of one line: what it escapes can only stand in a string, and means
// the same there.
func escapeJSON(line []byte) []byte {
	out := make([]byte, 0, len(line))
	for _, r := range string(line) {
		switch {
		case strconv.IsPrint(r):
			out = utf8.AppendRune(out, r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

func oneLine(s string) string { return strings.ReplaceAll(printable(s), "\n", `\n`) }

// brief is an error for people: its name is that of this program.
func brief(s string) string { return oneLine(strings.ReplaceAll(s, "wsnotify: ", "")) }

// shorten is for texts that are shown and not kept. It cuts no character in two.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit] + "…"
}
