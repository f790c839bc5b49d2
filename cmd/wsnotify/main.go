// Wsnotify is a WebSocket that stays connected, for the shell: it listens for
// notifications, sends lines, and serves both for trying things.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// What the program ends with.
const (
	exitOK      = 0 // it was asked to end, and all that was asked for is done
	exitFailure = 1 // something was not delivered, or could not be read or written
	exitUsage   = 2 // the command line is wrong
	exitGaveUp  = 3 // no connection, after as many attempts as were allowed
	exitRefused = 4 // the server refuses, and waiting would not change that
	exitTimeout = 5 // the time was up before --count was reached, or all was sent
)

// failure is an error with an exit code of its own.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // he really means it
		os.Exit(128 + int(syscall.SIGINT))
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. Whoever ends ctx has asked it to end.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := &cobra.Command{
		Use:           "wsnotify",
		Short:         "A WebSocket that stays connected",
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Long: `A WebSocket that stays connected, for the shell.

It reconnects when the server goes away, notices when the network is dead, and
ends when it is told to.

Exit status: 0 asked to end, 1 something was not delivered, 2 wrong usage,
3 gave up, 4 refused by the server, 5 out of time.`,
		Example: `  wsnotify serve                                     # something to try it with
  wsnotify listen ws://localhost:8080/ws/ --user ada
  echo hello | wsnotify send ws://localhost:8080/ws/ --user ada`,
	}
	root.SetVersionTemplate("wsnotify {{.Version}}\n")
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	started := false
	root.PersistentPreRun = func(*cobra.Command, []string) { started = true }
	root.AddCommand(listenCommand(), sendCommand(), serveCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	fmt.Fprintln(stderr, "wsnotify:", brief(err.Error()))
	var f *failure
	switch {
	case errors.As(err, &f):
		return f.code
	case !started:
		fmt.Fprintln(stderr, "Try: wsnotify --help")
		return exitUsage
	}
	return exitFailure
}

// usage is a wrong argument.
func usage(format string, args ...any) error {
	return &failure{exitUsage, fmt.Errorf(format, args...)}
}

// outcome turns what Run returned into what the program ends with.
func outcome(err error) error {
	var gaveUp *wsnotify.GiveUpError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return nil
	case errors.As(err, &gaveUp) && !wsnotify.FailFast(gaveUp.Failure):
		return &failure{exitRefused, err}
	case errors.As(err, &gaveUp):
		return &failure{exitGaveUp, err}
	}
	return &failure{exitUsage, err} // nothing was dialled
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
