// Wsnotify is a WebSocket that stays connected, for the shell: it talks to
// servers, listens for notifications, sends lines, and serves for trying things.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What the program ends with. A second signal ends it with 128 and the number
// of that signal, and a reader that goes away with SIGPIPE, which shells show
// as 141.
const (
	exitOK      = 0 // it was asked to end, and all that was asked for is done
	exitFailure = 1 // something was or may be lost, or could not be read or written
	exitUsage   = 2 // the command line is wrong
	exitGaveUp  = 3 // no connection, after as many attempts as were allowed
	exitRefused = 4 // the server refuses, and retrying won't fix that
	exitTimeout = 5 // the time was up before there was a connection, --count was reached, a reply came, or all was sent
)

// failure is an error with an exit code of its own.
type failure struct {
	code    int
	err     error
	details []string // lines that are printed below it
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// interruptKey is the key of the function that does what a first Ctrl-C does,
// for those who read the keyboard themselves.
type interruptKey struct{}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		for s := range signals {
			if ctx.Err() != nil { // the second
				os.Exit(128 + int(s.(syscall.Signal)))
			}
			cancel()
		}
	}()
	os.Exit(run(context.WithValue(ctx, interruptKey{}, cancel), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. Whoever ends ctx has asked it to end.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	say := sayer(stderr)
	say("%v", err)
	code := exitFailure
	if f := (*failure)(nil); errors.As(err, &f) {
		code = f.code
		for _, line := range f.details {
			say("%s", line)
		}
	}
	if code == exitUsage {
		path := cmd.CommandPath()
		if !cmd.HasParent() && !strings.HasPrefix(err.Error(), "unknown command") {
			path += " connect" // whose flags they are
		}
		fmt.Fprintf(stderr, "Try: %s --help\n", path)
	}
	return code
}

// sayer returns a function that prints something for a person.
func sayer(w io.Writer) func(format string, args ...any) {
	return func(format string, args ...any) {
		fmt.Fprintln(w, "wsnotify:", brief(fmt.Sprintf(format, args...)))
	}
}

func rootCommand() *cobra.Command {
	talk := new(talk)
	root := &cobra.Command{
		Use:           "wsnotify [URL]",
		Short:         "A WebSocket that stays connected",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Long: `A WebSocket that stays connected, for the shell.

It reconnects when the server goes away, notices when the network is dead, and
ends when it is told to. "wsnotify URL" is short for "wsnotify connect URL".

Environment: the flags of a connection may be set by variables, such as --read-limit
by WSNOTIFY_READ_LIMIT. A flag on the command line wins.

Exit status: 0 asked to end, 1 something was or may be lost, 2 wrong usage,
3 gave up, 4 refused by the server, 5 out of time, 130 a second Ctrl-C,
141 the reader of its output went away.`,
		Example: `  wsnotify serve --echo                       # something to try it with
  wsnotify localhost:8080/ws/ada              # talk to it
  wsnotify listen localhost:8080/ws/ -u ada   # print notifications
  echo hello | wsnotify send localhost:8080/ws/ada`,
		Args: addressOrNothing,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return environment(cmd)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return talk.run(cmd, args[0])
		},
	}
	talk.flags(root)
	root.Flags().VisitAll(func(f *pflag.Flag) { f.Hidden = true }) // they are in the help of connect
	root.Flags().BoolP("version", "V", false, "print the version")
	root.SetVersionTemplate("wsnotify {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(connectCommand(), listenCommand(), sendCommand(), serveCommand(), manCommand())
	root.InitDefaultHelpCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "help" {
			cmd.Args = topic
		}
	}
	return root
}

func version() string {
	info, _ := debug.ReadBuildInfo()
	return versionOf(info)
}

// versionOf is the version of a program that may have been built without one, or without any information.
func versionOf(info *debug.BuildInfo) string {
	if info != nil && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// userAgent names the program and its version, as RFC 9110 has it.
func userAgent() string { return "wsnotify/" + strings.Trim(version(), "()") }
