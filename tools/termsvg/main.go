// Termsvg runs a command and writes what it prints, with the times, as an
// animated SVG of a terminal:
//
//	go run -C tools ./termsvg -o ../docs/quickstart.svg -dir .. go run ./examples/quickstart
//
// Every line appears when the command has printed it. Where SVGs are not
// animated, and for readers who prefer less motion, all lines are there.
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode/utf8"
)

func main() {
	file := flag.String("o", "", "`file` to write; empty for the standard output")
	dir := flag.String("dir", ".", "`folder` to run the command in")
	columns := flag.Int("columns", 96, "`width` at which lines are wrapped")
	flag.Parse()
	if err := run(*file, *dir, *columns, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "termsvg:", err)
		os.Exit(1)
	}
}

func run(file, dir string, columns int, command []string) error {
	if len(command) == 0 {
		return fmt.Errorf("expected a command to run, got none")
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines, err := record(out)
	if err != nil {
		return err
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	var svg bytes.Buffer
	draw(&svg, "$ "+strings.Join(command, " "), lines, columns)
	if file == "" {
		_, err = os.Stdout.Write(svg.Bytes())
		return err
	}
	return os.WriteFile(file, svg.Bytes(), 0o644)
}

// line is one that was printed, some time after the first.
type line struct {
	at   time.Duration
	text string
}

// record reads until the end. The time before the first line does not count:
// with go run, it is the compiler's.
func record(r io.Reader) (lines []line, err error) {
	var first time.Time
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		if first.IsZero() {
			first = time.Now()
		}
		lines = append(lines, line{time.Since(first), scanner.Text()})
	}
	return lines, scanner.Err()
}

// What a character of the font takes, in pixels.
const (
	charWidth  = 7.85
	lineHeight = 18
	margin     = 16
	header     = 34
)

// colours of the second word of a line, which says what happened.
var colours = map[string]string{
	"state": "#8b949e", "open": "#3fb950", "close": "#f85149", "error": "#f85149",
	"wait": "#d29922", "mail": "#79c0ff", "notify": "#79c0ff", "server": "#bc8cff", "enqueue": "#79c0ff",
}

// draw writes the SVG. The command is shown from the beginning, its lines from
// one second later.
func draw(w io.Writer, command string, lines []line, columns int) {
	type row struct {
		at           time.Duration
		text, colour string
	}
	rows := []row{{0, command, "#e6edf3"}}
	for _, l := range lines {
		colour := "#c9d1d9"
		if fields := strings.Fields(l.text); len(fields) > 1 && colours[fields[1]] != "" {
			colour = colours[fields[1]]
		}
		for _, text := range wrap(l.text, columns) {
			rows = append(rows, row{l.at + time.Second, text, colour})
		}
	}
	width, height := float64(columns)*charWidth+2*margin, header+len(rows)*lineHeight+margin
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img" aria-label="%s">`+"\n",
		width, height, width, height, escape(command))
	fmt.Fprint(w, `<style>
text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; white-space: pre }
@media (prefers-reduced-motion: no-preference) { .l { animation: show 1ms linear both } }
@keyframes show { from { visibility: hidden } to { visibility: visible } }
</style>
`)
	fmt.Fprintf(w, `<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n")
	for i, colour := range []string{"#ff5f57", "#febc2e", "#28c840"} {
		fmt.Fprintf(w, `<circle cx="%d" cy="17" r="5" fill="%s"/>`+"\n", margin+5+18*i, colour)
	}
	for i, r := range rows {
		fmt.Fprintf(w, `<text class="l" style="animation-delay:%dms" x="%d" y="%d" fill="%s" xml:space="preserve">%s</text>`+"\n",
			r.at.Milliseconds(), margin, header+(i+1)*lineHeight-4, r.colour, escape(r.text))
	}
	fmt.Fprint(w, "</svg>\n")
}

// wrap breaks a line at spaces, and indents what follows under its third word.
func wrap(text string, columns int) (rows []string) {
	const indent = "                    "
	for utf8.RuneCountInString(text) > columns {
		runes := []rune(text)
		at := columns
		for i := columns; i > len(indent); i-- {
			if runes[i] == ' ' {
				at = i
				break
			}
		}
		rows = append(rows, string(runes[:at]))
		text = indent + strings.TrimLeft(string(runes[at:]), " ")
	}
	return append(rows, text)
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escape(s string) string { return escaper.Replace(s) }
