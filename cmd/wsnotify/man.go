package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The manual page is made of what --help says, so that it can't be out of date.

func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man",
		Short: "Print the manual page",
		Long: `Man prints the manual page of wsnotify, for man(1). To read it, or to keep it where
man finds it:

  wsnotify man | man -l -
  wsnotify man >/usr/local/share/man/man1/wsnotify.1`,
		Example: `  wsnotify man | man -l -
  wsnotify man >wsnotify.1`,
		Args: nothing,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), manual(cmd.Root()))
			return err
		},
	}
}

// manual is the page in the macros of man(7).
func manual(root *cobra.Command) string {
	var b strings.Builder
	long, status, _ := strings.Cut(root.Long, "Exit status: ")
	long, variables, _ := strings.Cut(long, "Environment: ")
	fmt.Fprintf(&b, ".TH WSNOTIFY 1 \"\" \"wsnotify %s\" \"User Commands\"\n", roff(strings.Trim(version(), "()")))
	fmt.Fprintf(&b, ".SH NAME\nwsnotify \\- %s\n", roff(strings.ToLower(root.Short[:1])+root.Short[1:]))
	b.WriteString(".SH SYNOPSIS\n")
	var commands []*cobra.Command
	for _, c := range root.Commands() {
		if c.Name() != "help" && c.Name() != "completion" {
			commands = append(commands, c)
			fmt.Fprintf(&b, ".B wsnotify %s\n%s\n.br\n", roff(c.Name()), roff(strings.TrimPrefix(strings.TrimPrefix(c.Use, c.Name())+" [flags]", " ")))
		}
	}
	b.WriteString(".SH DESCRIPTION\n" + paragraphs(long))
	for _, c := range commands {
		fmt.Fprintf(&b, ".SH %s\n%s", strings.ToUpper(c.Name()), paragraphs(c.Long))
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				b.WriteString(flagEntry(f))
			}
		})
	}
	b.WriteString(".SH ENVIRONMENT\n" + paragraphs(strings.ToUpper(variables[:1])+variables[1:]))
	b.WriteString(".SH EXIT STATUS\n")
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.ReplaceAll(status, "\n", " "), "."), ", ") {
		code, meaning, _ := strings.Cut(part, " ")
		fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(code), roff(meaning))
	}
	b.WriteString(".SH EXAMPLES\n.nf\n")
	for _, c := range append([]*cobra.Command{root}, commands...) {
		for line := range strings.Lines(c.Example) {
			b.WriteString(roff(strings.TrimSuffix(line, "\n")) + "\n")
		}
	}
	b.WriteString(".fi\n")
	return b.String()
}

// flagEntry is a flag with what it takes, its default and what it does.
func flagEntry(f *pflag.Flag) string {
	kind, usage := pflag.UnquoteUsage(f)
	name := "\\-\\-" + roff(f.Name)
	if f.Shorthand != "" {
		name = "\\-" + roff(f.Shorthand) + ", " + name
	}
	entry := ".TP\n.B " + name
	if kind != "" {
		entry = fmt.Sprintf(".TP\n.BI \"%s \" \"%s\"", name, roff(strings.ReplaceAll(kind, `"`, "")))
	}
	text := roff(strings.ReplaceAll(usage, "\n", " "))
	if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" && d != "0s" {
		text += " (default " + roff(d) + ")"
	}
	return entry + "\n" + text + "\n"
}

// paragraphs shows lines that are indented as they are.
func paragraphs(text string) string {
	var b strings.Builder
	verbatim := false
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if indented := strings.HasPrefix(line, "  "); line != "" && indented != verbatim {
			verbatim = indented
			b.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[verbatim])
		}
		if line == "" {
			b.WriteString(".PP\n")
			continue
		}
		b.WriteString(roff(line) + "\n")
	}
	if verbatim {
		b.WriteString(".fi\n")
	}
	return b.String()
}

// roff escapes a line of text.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
