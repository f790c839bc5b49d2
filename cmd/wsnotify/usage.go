package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// What is wrong with a command line, and what would be right.

// usage is a wrong argument.
func usage(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// flagError says what is wrong with a flag, in the words of who typed it.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.As(err, &invalid):
		return invalidValue("--"+invalid.GetFlag().Name+" ", invalid.GetFlag(), invalid.GetValue(), invalid.Unwrap())
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		short := unknown.GetSpecifiedName()
		return usage("unknown flag -%s%s", short, elsewhere(cmd, func(f *pflag.FlagSet) bool { return f.ShorthandLookup(short) != nil }))
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if where := elsewhere(cmd, func(f *pflag.FlagSet) bool { return f.Lookup(name) != nil }); where != "" {
			return usage("unknown flag --%s%s", name, where)
		}
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := nearest(name, names); near != "" {
			return usage("unknown flag --%s; did you mean --%s?", name, near)
		}
		return usage("unknown flag --%s", name)
	case errors.As(err, &missing):
		kind, _ := pflag.UnquoteUsage(missing.GetFlag())
		return usage("--%s needs a value: --%[1]s %s", missing.GetFlag().Name, kind)
	}
	return &failure{code: exitUsage, err: err}
}

// elsewhere names the commands that do have a flag: "" if none has.
func elsewhere(cmd *cobra.Command, has func(*pflag.FlagSet) bool) string {
	var names []string
	for _, c := range cmd.Root().Commands() {
		if has(c.Flags()) {
			names = append(names, c.Name())
		}
	}
	if len(names) == 0 {
		return ""
	}
	name := cmd.Name()
	if !cmd.HasParent() {
		name = "connect" // whose flags they are
	}
	last := len(names) - 1
	list := names[last]
	if last > 0 {
		list = strings.Join(names[:last], ", ") + " and " + list
	}
	return fmt.Sprintf(": it is a flag of %s, and not of %s", list, name)
}

// topic is for help, which takes the name of a command.
func topic(cmd *cobra.Command, args []string) error {
	found, rest, err := cmd.Root().Find(args)
	if err == nil && (found.HasParent() || len(rest) == 0) {
		return nil
	}
	var names []string
	for _, c := range cmd.Root().Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if near := nearest(args[0], names); near != "" {
		return usage("there is no help for %q; did you mean %q?", args[0], near)
	}
	return usage("there is no help for %q; there is for %s", args[0], strings.Join(names, ", "))
}

// invalidValue says what is wrong with the value of a flag, given as name and
// value say.
func invalidValue(name string, f *pflag.Flag, value string, cause error) error {
	if f.Value.Type() == "bool" {
		cause = errors.New("expected true or false")
	}
	if value == "" {
		value = `""`
	}
	return usage("%s%s: %v", name, value, cause)
}

// oneURL is for commands that take an address and nothing else.
func oneURL(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage("%s needs the address of a server, as in: wsnotify %[1]s wss://example.com/ws/", cmd.Name())
	case len(args) == 1 && args[0] == "":
		return usage("the address is empty")
	case len(args) == 1:
		return nil
	case cmd.Name() == "send" && isFile(args[1]):
		return usage("send takes its lines from the standard input: wsnotify send %s <%s", args[0], args[1])
	case cmd.Name() == "send":
		return usage("send takes one address, and its lines from the standard input; to send %q: wsnotify connect %s -x %[1]q", args[1], args[0])
	case cmd.Name() == "listen":
		return usage("listen takes one address, and got %d arguments; %q is the second", len(args), args[1])
	}
	return usage("connect takes one address; to send %q: wsnotify %s -x %[1]q", args[1], args[0])
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// nothing is for commands without arguments.
func nothing(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes flags alone, and got %q", cmd.Name(), args[0])
	}
	return nil
}

// addressOrNothing is for the program without a command: an address that it
// connects to, or a command that somebody misspelt.
func addressOrNothing(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || strings.ContainsAny(args[0], ":/.") || args[0] == "localhost" {
		if len(args) > 1 {
			return oneURL(cmd, args)
		}
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	if near := nearest(args[0], names); near != "" {
		return usage("unknown command %q; did you mean %q?", args[0], near)
	}
	return usage("unknown command %q; if it is a host: wsnotify connect %s", args[0], args[0])
}

// nearest returns the name that somebody may have meant, or "".
func nearest(typed string, names []string) string {
	best, least := "", len(typed)/3+2
	for _, name := range names {
		d := distance(typed, name)
		if len(typed) > 2 && strings.HasPrefix(name, typed) {
			d = 1
		}
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// distance is Levenshtein's, where two letters that changed places count once.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// fromEnvironment is the annotation of flags that may be set by a variable.
const fromEnvironment = "environment"

// variableOf is the variable for a flag.
func variableOf(name string) string {
	return "WSNOTIFY_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// environment sets the flags that were not on the command line from variables.
// Credentials on the command line replace those of the environment, of either
// kind.
func environment(cmd *cobra.Command) (err error) {
	set := cmd.Flags()
	given := set.Changed("token-file") || set.Changed("basic-auth")
	set.VisitAll(func(f *pflag.Flag) {
		name := variableOf(f.Name)
		value := os.Getenv(name)
		if err != nil || f.Changed || f.Annotations[fromEnvironment] == nil || value == "" ||
			given && (f.Name == "token-file" || f.Name == "basic-auth") {
			return
		}
		values := []string{value}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(strings.TrimRight(value, "\n"), "\n")
		}
		for _, value := range values {
			if wrong := f.Value.Set(value); wrong != nil {
				err = invalidValue(name+"=", f, value, wrong)
			}
		}
		f.Changed = true
	})
	return err
}
