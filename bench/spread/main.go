// Command spread computes how the clients of a policy come back to a server
// that was away: a million of them, which all lost it at the same moment, and
// which reach it at their first attempt after its return. There are no sockets,
// and no time passes.
//
//	go run ./spread -out .
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/wsnotify/wsnotify"
)

const bucket = 100 * time.Millisecond

func main() {
	clients := flag.Int("clients", 1_000_000, "how many clients")
	out := flag.String("out", "", "`folder` for spread.svg, made if it is missing; empty for none")
	flag.Parse()
	if *out != "" {
		if err := os.MkdirAll(*out, 0o777); err != nil { // now, and not once everything is counted
			log.Fatal(err)
		}
	}

	policies := []policy{
		{"Exponential(500 ms, 10 s, -1)", wsnotify.Exponential(500*time.Millisecond, 10*time.Second, -1)},
		{"the default: 10 s, 6 times", func() wsnotify.BackOff {
			return backoff.WithMaxRetries(backoff.NewConstantBackOff(10*time.Second), 6)
		}},
	}
	var all []spread
	fmt.Println("| policy | away for | busiest 100 ms, against the mean | and of all clients | 99 % are back after | gave up |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for _, p := range policies {
		for _, away := range []time.Duration{5 * time.Second, time.Minute, 10 * time.Minute} {
			s := p.spread(*clients, away)
			all = append(all, s)
			fmt.Println(s.row(*clients))
		}
	}
	if *out != "" {
		if err := os.WriteFile(filepath.Join(*out, "spread.svg"), draw(all), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

type policy struct {
	name string
	make func() wsnotify.BackOff
}

// spread is when the clients came back, in buckets from the server's return on.
type spread struct {
	policy  string
	away    time.Duration
	buckets []int
	back    int
	gaveUp  int
}

func (p policy) spread(clients int, away time.Duration) spread {
	s := spread{policy: p.name, away: away}
	for range clients {
		b := p.make()
		b.Reset()
		at := time.Duration(0)
		for at < away {
			wait := b.NextBackOff()
			if wait == backoff.Stop {
				break
			}
			at += wait
		}
		if at < away {
			s.gaveUp++
			continue
		}
		i := int((at - away) / bucket)
		for len(s.buckets) <= i {
			s.buckets = append(s.buckets, 0)
		}
		s.buckets[i]++
		s.back++
	}
	return s
}

func (s spread) peak() float64 {
	if s.back == 0 {
		return 0
	}
	return float64(slices.Max(s.buckets)) * float64(len(s.buckets)) / float64(s.back)
}

func (s spread) row(clients int) string {
	if s.back == 0 {
		return fmt.Sprintf("| %s | %v | – | – | – | all |", s.policy, s.away)
	}
	count, until := 0, time.Duration(0)
	for i, n := range s.buckets {
		if count += n; count*100 >= s.back*99 {
			until = time.Duration(i+1) * bucket
			break
		}
	}
	return fmt.Sprintf("| %s | %v | %.2f | %.1f %% | %v | %d |", s.policy, s.away, s.peak(),
		100*float64(slices.Max(s.buckets))/float64(clients), until, s.gaveUp)
}

// draw puts a panel for each spread below the other, with the mean as a line.
func draw(all []spread) []byte {
	const width, left, right, panel, top = 760, 50, 740, 130, 24
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		width, panel*len(all)+30)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, panel*len(all)+30)
	longest := 1
	for _, s := range all {
		longest = max(longest, len(s.buckets))
	}
	step := float64(right-left) / float64(longest)
	for i, s := range all {
		y0 := float64(panel*i + top)
		bottom := y0 + panel - 45
		fmt.Fprintf(&b, `<text x="%d" y="%.1f">%s, away for %v: the busiest 100 ms %.2f times the mean, %d gave up</text>`+"\n",
			left, y0, s.policy, s.away, s.peak(), s.gaveUp)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#000000"/>`+"\n", left, bottom, right, bottom)
		for second := 0; second*10 <= longest; second += 2 {
			fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="middle">%d</text>`+"\n", left+float64(second*10)*step, bottom+14, second)
		}
		if s.back == 0 {
			continue
		}
		most := float64(slices.Max(s.buckets))
		y := func(n float64) float64 { return bottom - n/most*(panel-60) }
		for j, n := range s.buckets {
			fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#4477aa"/>`+"\n",
				left+float64(j)*step, y(float64(n)), max(step-0.5, 0.5), bottom-y(float64(n)))
		}
		mean := float64(s.back) / float64(len(s.buckets))
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#cc3311" stroke-dasharray="6 4"/>`+"\n",
			left, y(mean), left+float64(len(s.buckets))*step, y(mean))
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">seconds since the server was back</text>`+"\n", (left+right)/2, panel*len(all)+20)
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes()
}
