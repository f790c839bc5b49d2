// Command bench has this library and its peers do the same work against the
// same server, and prints what that took. See README.md.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	if childMain() {
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	work    *regexp.Regexp
	libs    []string
	rounds  int
	time    time.Duration
	profile string
	calm    float64 // cores that other processes may keep busy
	quiet   bool    // no progress on stderr
}

func run() error {
	var (
		pattern = flag.String("work", "", "`regexp` of the works to do; empty for all")
		libs    = flag.String("lib", "", "comma-separated `names` of the libraries; empty for all")
		rounds  = flag.Int("rounds", 5, "rounds, of which the medians are printed")
		length  = flag.Duration("time", time.Second, "of one measurement")
		asJSON  = flag.Bool("json", false, "print every measurement as JSON, and no tables")
		calm    = flag.Float64("calm", 0.1, "measure again, at most twice, when other processes kept more `cores` busy")
		profile = flag.String("cpuprofile", "", "write a profile of one work with one library to this `file`: of the CPU, or of the heap for idle works")
		out     = flag.String("out", "", "`folder` for herd.csv and herd.svg, made if it is missing; empty for none")
		list    = flag.Bool("list", false, "list the works, and do nothing")
	)
	flag.Parse()
	if *list {
		for _, w := range works {
			fmt.Printf("%-22s %s\n", w.name, w.about)
		}
		return nil
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		return err
	}
	o := options{work: re, rounds: *rounds, time: *length, profile: *profile, calm: *calm}
	if *libs != "" {
		o.libs = strings.Split(*libs, ",")
	}
	if *out != "" {
		if err := os.MkdirAll(*out, 0o777); err != nil { // now, and not once everything is measured
			return err
		}
	}
	results, err := o.measure()
	if err != nil {
		return err
	}
	if *out != "" {
		if err := drawHerd(*out, results); err != nil {
			return err
		}
	}
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		for _, r := range results {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	return report(os.Stdout, results, o)
}

// measure does every chosen work with every chosen library, interleaved: a
// disturbance of the machine hits all of them alike, and the medians little.
func (o options) measure() ([]Result, error) {
	jobs, err := o.jobs()
	if err != nil {
		return nil, err
	}
	server, err := startServer()
	if err != nil {
		return nil, err
	}
	defer server.stop()
	var results []Result
	calls := map[[2]string]Result{} // by work and library
	for round := range o.rounds {
		for i, j := range jobs {
			if round > 0 && workNamed(j.Work).once {
				continue
			}
			if !o.quiet {
				fmt.Fprintf(os.Stderr, "round %d of %d, %d of %d: %s with %s\n", round+1, o.rounds, i+1, len(jobs), j.Work, j.Lib)
			}
			j.Endpoints = server.endpoints
			calm := o.calm
			if workNamed(j.Work).once {
				calm = math.Inf(1) // they take long, and memory does not depend on it
			}
			r, err := j.calmly(server.cmd.Process.Pid, calm)
			if err != nil {
				return nil, err
			}
			key := [2]string{j.Work, j.Lib}
			if round == 0 && j.countable() {
				if calls[key], err = j.counted(); err != nil {
					return nil, err
				}
			}
			r.Writes, r.Reads, r.Wire = calls[key].Writes, calls[key].Reads, calls[key].Wire
			results = append(results, r)
		}
	}
	return results, nil
}

// countable reports whether a job moves messages, of which each costs calls.
func (j job) countable() bool {
	w := workNamed(j.Work)
	return j.Profile == "" && !w.once && w.section != latency
}

// counted does a job again, shorter, with its calls to the socket counted. Where time is
// measured nothing is: a library may find its socket bare, as it does elsewhere.
func (j job) counted() (Result, error) {
	j.Counted, j.Time = true, j.Time/5
	r, _, err := j.do()
	return r, err
}

func (o *options) jobs() ([]job, error) {
	for _, name := range o.libs {
		if libraryNamed(name) == nil {
			return nil, fmt.Errorf("no library %q", name)
		}
	}
	var jobs []job
	for _, w := range works {
		if !o.work.MatchString(w.name) {
			continue
		}
		for _, lib := range libraries {
			if len(o.libs) > 0 && !slices.Contains(o.libs, lib.name) || w.only != "" && w.only != lib.name {
				continue
			}
			jobs = append(jobs, job{Work: w.name, Lib: lib.name, Time: o.time, Profile: o.profile})
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("no work matches %q", o.work)
	}
	if o.profile != "" {
		if len(jobs) > 1 {
			return nil, fmt.Errorf("-cpuprofile is for one work with one library, and these are %d", len(jobs))
		}
		o.rounds = 1
	}
	return jobs, nil
}
