package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// drawHerd writes the histogram of the herd as CSV and as SVG.
func drawHerd(dir string, results []Result) error {
	for _, r := range slices.Backward(results) {
		if len(r.Handshakes) == 0 {
			continue
		}
		buckets := histogram(r.Handshakes)
		var csv bytes.Buffer
		fmt.Fprintln(&csv, "milliseconds,handshakes")
		for i, n := range buckets {
			fmt.Fprintf(&csv, "%d,%d\n", i*int(herdBucket.Milliseconds()), n)
		}
		if err := os.WriteFile(filepath.Join(dir, "herd.csv"), csv.Bytes(), 0o644); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "herd.svg"), plot(buckets, len(r.Handshakes)), 0o644)
	}
	return nil
}

// plot draws bars, a line at the mean, and just enough of two axes.
func plot(buckets []int, total int) []byte {
	const (
		width, height = 760, 300
		left, top     = 50, 40
		right, bottom = 740, 250
	)
	mean := float64(total) / float64(len(buckets))
	peak := slices.Max(buckets)
	step := float64(right-left) / float64(len(buckets))
	y := func(n float64) float64 { return bottom - n/float64(peak)*(bottom-top) }

	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="20">Handshakes per 100 ms of %d clients coming back; the busiest %d, %.1f times the mean of %.1f</text>`+"\n",
		left, total, peak, float64(peak)/mean, mean)
	for i, n := range buckets {
		fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#4477aa"/>`+"\n",
			left+float64(i)*step, y(float64(n)), max(step-1, 0.5), bottom-y(float64(n)))
	}
	line := func(x1, y1, x2, y2 float64, style string) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" %s/>`+"\n", x1, y1, x2, y2, style)
	}
	line(left, bottom, right, bottom, `stroke="#000000"`)
	line(left, top, left, bottom, `stroke="#000000"`)
	line(left, y(mean), right, y(mean), `stroke="#cc3311" stroke-dasharray="6 4"`)
	fmt.Fprintf(&b, `<text x="%d" y="%.1f" text-anchor="end" fill="#cc3311">mean</text>`+"\n", right, y(mean)-4)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%d</text>`+"\n", left-6, top+4, peak)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">0</text>`+"\n", left-6, bottom+4)
	perSecond := 10 // buckets
	for i := 0; i < len(buckets); i += perSecond {
		x := left + float64(i)*step
		line(x, bottom, x, bottom+5, `stroke="#000000"`)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x, bottom+19, i/perSecond)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">seconds since the server was back</text>`+"\n", (left+right)/2, height-12)
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes()
}
