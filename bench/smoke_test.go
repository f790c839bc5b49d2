package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests' own program is what starts itself again as server and clients.
func TestMain(m *testing.M) {
	if childMain() {
		return
	}
	os.Exit(m.Run())
}

// TestEveryWorkWithEveryLibrary checks that nothing is lost or counted twice
// on the way: a measurement fails when the other side disagrees on how many
// messages there were.
func TestEveryWorkWithEveryLibrary(t *testing.T) {
	o := options{work: regexp.MustCompile(""), rounds: 1, time: 20 * time.Millisecond, calm: 2, quiet: true}
	results, err := o.measure()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d measurements", len(results))
	for _, r := range results {
		if r.Messages == 0 && r.Skipped == "" { // a busy machine gave it no turn in so short a time
			alone := options{work: regexp.MustCompile("^" + r.Work + "$"), libs: []string{r.Lib}, rounds: 1, time: time.Second, calm: 2, quiet: true}
			if again, err := alone.measure(); err != nil || len(again) != 1 || again[0].Messages == 0 {
				t.Errorf("%s with %s: nothing was measured: %v", r.Work, r.Lib, err)
			}
		}
		if w := workNamed(r.Work); w.section == sending && r.Lib != ours && r.Writes < 0.99 {
			t.Errorf("%s with %s: %.2f write calls a message, but each returns when it is written", r.Work, r.Lib, r.Writes)
		}
	}
	dir := t.TempDir()
	if err := drawHerd(dir, results); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"herd.csv", "herd.svg"} {
		if text, err := os.ReadFile(dir + "/" + name); err != nil || len(text) == 0 {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
	}
	var out bytes.Buffer
	if err := report(&out, results, o); err != nil {
		t.Fatal(err)
	}
	for _, w := range works {
		if !strings.Contains(out.String(), "`"+w.name+"`") {
			t.Errorf("the report does not show %s", w.name)
		}
	}
}

func TestNotificationsHaveTheirSize(t *testing.T) {
	for _, name := range []string{"notification", "typed"} {
		if _, p := payloadNamed(name); len(p) != notificationSize {
			t.Errorf("%s: %d bytes: %s", name, len(p), p)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		rates []float64
		want  float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1}, 5},
		{[]float64{9, 1, 4}, 4},
	} {
		var rounds []Result
		for _, rate := range tt.rates {
			rounds = append(rounds, Result{Rate: rate})
		}
		if got := median(rounds).Rate; got != tt.want {
			t.Errorf("of %v: %v, want %v", tt.rates, got, tt.want)
		}
	}
}

func TestHistogram(t *testing.T) {
	got := histogram([]time.Duration{250 * time.Millisecond, 0, 99 * time.Millisecond, 100 * time.Millisecond})
	if want := []int{2, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
