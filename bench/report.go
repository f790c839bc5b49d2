package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
)

// table is the medians by work and library.
type table map[string]map[string]Result

func newTable(results []Result) table {
	rounds := map[[2]string][]Result{}
	for _, r := range results {
		key := [2]string{r.Work, r.Lib}
		rounds[key] = append(rounds[key], r)
	}
	t := table{}
	for key, r := range rounds {
		if t[key[0]] == nil {
			t[key[0]] = map[string]Result{}
		}
		t[key[0]][key[1]] = median(r)
	}
	return t
}

// view is one figure of a section, as a table of works and libraries.
type view struct {
	title  string
	figure func(Result) float64
	format func(float64) string
	goals  bool // the figure that the goals are about
}

var views = map[section][]view{
	sending: {
		{"messages a second", func(r Result) float64 { return r.Rate }, count, true},
		{"CPU, ns a message", func(r Result) float64 { return r.CPU }, count, false},
		{"allocations a message", func(r Result) float64 { return r.Allocs }, small, false},
		{"bytes allocated a message", func(r Result) float64 { return r.Bytes }, count, false},
		{"write calls a message", func(r Result) float64 { return r.Writes }, small, false},
	},
	receiving: {
		{"messages a second", func(r Result) float64 { return r.Rate }, count, true},
		{"CPU, ns a message", func(r Result) float64 { return r.CPU }, count, false},
		{"allocations a message", func(r Result) float64 { return r.Allocs }, small, false},
		{"bytes allocated a message", func(r Result) float64 { return r.Bytes }, count, false},
		{"read calls a message", func(r Result) float64 { return r.Reads }, small, false},
	},
	keeping: {
		{"messages a second", func(r Result) float64 { return r.Rate }, count, true},
		{"CPU, ns a message", func(r Result) float64 { return r.CPU }, count, false},
		{"syncs a second", func(r Result) float64 { return r.Syncs }, count, false},
	},
	latency: {
		{"median, µs", func(r Result) float64 { return r.P50 }, micros, true},
		{"99th percentile, µs", func(r Result) float64 { return r.P99 }, micros, false},
	},
	idling: {
		{"heap and stacks, bytes a connection", func(r Result) float64 { return r.Memory }, count, true},
		{"resident memory, bytes a connection", func(r Result) float64 { return r.Resident }, count, false},
		{"goroutines a connection", func(r Result) float64 { return r.Goroutine }, small, false},
	},
	herding: {
		{"handshakes in the busiest 100 ms, against the mean", func(r Result) float64 { return r.Peak }, small, true},
	},
	deflating: {
		{"CPU, ns a message", func(r Result) float64 { return r.CPU }, count, true},
		{"bytes written to the socket, a message", func(r Result) float64 { return r.Wire }, count, false},
		{"messages a second", func(r Result) float64 { return r.Rate }, count, false},
		{"bytes allocated a message", func(r Result) float64 { return r.Bytes }, count, false},
	},
	crowding: {
		{"percent of a core", func(r Result) float64 { return 100 * r.Busy }, small, true},
		{"resident memory, bytes a client", func(r Result) float64 { return r.Resident }, count, false},
		{"heap and stacks, bytes a client", func(r Result) float64 { return r.Memory }, count, false},
		{"until all were back, ms", func(r Result) float64 { return r.Back / 1e6 }, count, false},
	},
	sharing: {
		{"until all were open, ms", func(r Result) float64 { return r.Back / 1e6 }, count, true},
		{"CPU to open them, µs a client", func(r Result) float64 { return r.CPU }, micros, false},
		{"connections, each with a TLS handshake", func(r Result) float64 { return r.Connections }, count, false},
		{"heap and stacks, bytes a client", func(r Result) float64 { return r.Memory }, count, false},
		{"resident memory, bytes a client", func(r Result) float64 { return r.Resident }, count, false},
		{"echoes a second, of all together", func(r Result) float64 { return r.Rate }, count, false},
		{"a ping of one of them, median, µs", func(r Result) float64 { return r.P50 }, micros, false},
		{"the same beside a client whose callback does not return, µs", func(r Result) float64 { return r.P99 }, micros, false},
	},
}

var sectionNames = []string{
	"Sending", "Confirmed, kept and answered", "Receiving", "Latency", "Idling", "The herd", "10,000 clients", "Compression", "One connection for all",
}

// report prints the medians as tables of Markdown.
func report(w io.Writer, results []Result, o options) error {
	t := newTable(results)
	fmt.Fprintf(w, "%s, %d cores, %s/%s; medians of %d rounds of %v; %s.\n",
		runtime.Version(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, o.rounds, o.time, strings.Join(versions(), ", "))
	most := slices.MaxFunc(results, func(a, b Result) int { return cmp.Compare(a.Others, b.Others) })
	fmt.Fprintf(w, "Meanwhile other processes kept %.2f cores busy, and at most %.2f.\n", median(results).Others, most.Others)
	for s, name := range sectionNames {
		chosen := t.works(section(s))
		if len(chosen) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n### %s\n", name)
		for _, v := range views[section(s)] {
			fmt.Fprintf(w, "\n%s\n\n%s", sentence(v.title), t.render(chosen, v))
		}
	}
	told := map[[2]string]bool{} // once for all rounds
	for _, r := range results {
		if which := [2]string{r.Work, r.Lib}; r.Skipped != "" && !told[which] {
			told[which] = true
			fmt.Fprintf(w, "\nSkipped: %s with %s, since %s.\n", r.Work, r.Lib, r.Skipped)
		}
	}
	return nil
}

func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + ":" }

// works returns those of a section that were done, in their order.
func (t table) works(s section) []work {
	var chosen []work
	for _, w := range works {
		if w.section == s && t[w.name] != nil {
			chosen = append(chosen, w)
		}
	}
	return chosen
}

// render is one view of works that are done.
func (t table) render(chosen []work, v view) string {
	var libs []string
	for _, lib := range libraries {
		for _, w := range chosen {
			if _, done := t[w.name][lib.name]; done {
				libs = append(libs, lib.name)
				break
			}
		}
	}
	var b strings.Builder
	head := append([]string{"work"}, libs...)
	if v.goals {
		head = append(head, "reached", "to reach")
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(head, " | "), " --- |"+strings.Repeat(" ---: |", len(head)-1))
	for _, w := range chosen {
		row := []string{"`" + w.name + "`"}
		for _, lib := range libs {
			cell := ""
			if r, done := t[w.name][lib]; done && r.Skipped == "" {
				cell = v.format(v.figure(r))
			}
			row = append(row, cell)
		}
		if v.goals {
			reached, toReach := t.compare(w, v)
			row = append(row, reached, toReach)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	return b.String()
}

// compare compares ours with the goals of a work, and where there is none,
// against the best peer.
func (t table) compare(w work, v view) (reached, toReach string) {
	mine, done := t[w.name][ours]
	if !done || mine.Skipped != "" {
		return "", ""
	}
	figure := v.figure(mine)
	if w.section == herding {
		return small(figure), fmt.Sprintf("at most %g", w.goals[0].atMost)
	}
	goals := w.goals
	if len(goals) == 0 {
		goals = []goal{{}}
	}
	var ratios, wanted []string
	for _, g := range goals {
		name, other := t.opponent(w, g, v)
		if name == "" {
			continue
		}
		ratio := figure / other
		ratios = append(ratios, fmt.Sprintf("%.2f × %s", ratio, name))
		switch {
		case g.atLeast > 0:
			wanted = append(wanted, fmt.Sprintf("at least %g", g.atLeast))
		case g.atMost > 0:
			wanted = append(wanted, fmt.Sprintf("at most %g", g.atMost))
		}
	}
	return strings.Join(ratios, ", "), strings.Join(wanted, ", ")
}

// opponent finds whom a goal is against, and his figure.
func (t table) opponent(w work, g goal, v view) (name string, figure float64) {
	from := w.name
	if g.work != "" {
		from = g.work
	}
	if g.against != "" {
		r, done := t[from][g.against]
		if !done || r.Skipped != "" {
			return "", 0
		}
		name = g.against
		if g.work != "" {
			name += "'s " + g.work
		}
		return name, v.figure(r)
	}
	for lib, r := range t[from] {
		f := v.figure(r)
		better := f > figure
		if w.section == latency || w.section == idling || w.section == crowding || w.section == deflating {
			better = f < figure
		}
		if lib != ours && r.Skipped == "" && (name == "" || better) {
			name, figure = lib, f
		}
	}
	return name, figure
}

// versions names the modules that were compared, as the program was built.
func versions() (all []string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil
	}
	for _, lib := range libraries {
		for _, dep := range info.Deps {
			if dep.Path == lib.module && lib.name != ours {
				all = append(all, dep.Path[len("github.com/"):]+" "+dep.Version)
			}
		}
	}
	return all
}

func micros(ns float64) string { return strconv.FormatFloat(ns/1000, 'f', 1, 64) }
func small(x float64) string   { return strconv.FormatFloat(x, 'f', 2, 64) }

// count writes a whole number in groups of three digits.
func count(x float64) string {
	s := strconv.FormatInt(int64(math.Round(math.Abs(x))), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	if math.Round(x) < 0 {
		s = "-" + s
	}
	return s
}
