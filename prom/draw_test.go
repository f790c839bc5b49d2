package wsnotifyprom_test

import (
	"bytes"
	"fmt"
	"html"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Pixels of the picture. The grid of a dashboard has 24 columns.
const (
	columnWidth = 40
	rowHeight   = 24
	gap         = 8  // between panels
	padding     = 10 // inside of them
	header      = 44
	titleHeight = 24
	legendLine  = 15
)

// The background is the picture's own, so that it can stand on a light page
// and on a dark one.
const (
	textColour  = "#ccccdc"
	faintColour = "#9fa1ad"
	gridColour  = "#2c2f36"
)

// colours are those that panels name, palette those of series in their order.
var (
	colours = map[string]string{
		"green": "#73bf69", "yellow": "#fade2a", "blue": "#5794f2", "orange": "#ff9830", "red": "#f2495c", "text": textColour,
	}
	palette = []string{
		"#73bf69", "#fade2a", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#70dbed", "#ff9ec7", "#a7c98c", "#9aa5b8",
	}
)

// drawDashboard draws each panel at its place, from the answers to its
// queries.
func drawDashboard(d dashboard, answers map[int][]series, start time.Time) []byte {
	rows := 0
	for _, p := range d.Panels {
		rows = max(rows, p.GridPos.Y+p.GridPos.H)
	}
	width, height := 24*columnWidth+gap, header+rows*rowHeight+gap
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="The dashboard %s">`+"\n",
		width, height, width, height, html.EscapeString(d.Title))
	fmt.Fprintf(&b, `<style>
text { font: 10.5px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; fill: %s }
.h { font-size: 16px; font-weight: 600; fill: %[2]s }
.t { font-size: 12.5px; font-weight: 600; fill: %[2]s }
.n { font-size: 34px; font-weight: 600 }
.e { text-anchor: end }
.m { text-anchor: middle }
.g { stroke: %s; fill: none }
.l { fill: none; stroke-width: 1.4; stroke-linejoin: round }
</style>
`, faintColour, textColour, gridColour)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" rx="8" fill="#111217"/>`)
	fmt.Fprintf(&b, `<text class="h" x="%d" y="28">%s</text>`+"\n", gap+padding, html.EscapeString(d.Title))
	fmt.Fprintf(&b, `<text class="e" x="%d" y="28">Client: All · from %s to %s</text>`+"\n",
		width-gap-padding, start.UTC().Format("15:04"), start.Add(hourLength).UTC().Format("15:04"))
	for _, p := range d.Panels {
		g := canvas{&b, float64(p.GridPos.W*columnWidth - gap), float64(p.GridPos.H*rowHeight - gap), start}
		fmt.Fprintf(&b, `<g transform="translate(%d %d)"><title>%s</title>`+"\n",
			gap+p.GridPos.X*columnWidth, header+p.GridPos.Y*rowHeight, html.EscapeString(p.Description))
		fmt.Fprintf(&b, `<rect width="%v" height="%v" rx="3" fill="#181b1f" stroke="%s"/>`+"\n", g.width, g.height, gridColour)
		fmt.Fprintf(&b, `<text class="t" x="%d" y="18">%s</text>`+"\n", padding, html.EscapeString(p.Title))
		switch all := answers[p.ID]; p.Type {
		case "stat":
			g.stat(p, all)
		case "state-timeline":
			g.states(p, all)
		default:
			g.lines(p, all)
		}
		fmt.Fprintln(&b, `</g>`)
	}
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes()
}

// canvas is one panel.
type canvas struct {
	io.Writer
	width, height float64
	start         time.Time
}

// stat draws a number in the colour of the threshold that it has reached.
func (c canvas) stat(p panel, all []series) {
	value, colour := all[0].last(), ""
	for _, step := range p.FieldConfig.Defaults.Thresholds.Steps {
		if step.Value == nil || value >= *step.Value {
			colour = colours[step.Color]
		}
	}
	fmt.Fprintf(c, `<text class="n m" x="%v" y="%v" style="fill:%s">%.0f</text>`+"\n", c.width/2, c.height/2+22, colour, value)
}

// item is one of a legend.
type item struct{ name, colour string }

// textWidth is what small text takes in a wide font.
func textWidth(text string) (width float64) {
	for _, r := range text {
		width += 5.9
		if unicode.IsUpper(r) {
			width += 1.6
		}
	}
	return width
}

// legend writes the items at the bottom, and returns where it begins.
func (c canvas) legend(items []item) (top float64) {
	const swatch, between = 13, 14
	type place struct {
		x    float64
		line int
	}
	var places []place
	at := place{x: padding}
	for _, i := range items {
		width := swatch + textWidth(i.name)
		if at.x > padding && at.x+width > c.width-padding {
			at = place{padding, at.line + 1}
		}
		places = append(places, at)
		at.x += width + between
	}
	top = c.height - 7 - float64(at.line+1)*legendLine
	for n, i := range items {
		x, y := places[n].x, top+float64(places[n].line+1)*legendLine-3
		fmt.Fprintf(c, `<rect x="%.0f" y="%.1f" width="9" height="3" rx="1" fill="%s"/>`, x, y-5, i.colour)
		fmt.Fprintf(c, `<text x="%.0f" y="%.0f">%s</text>`+"\n", x+swatch, y, html.EscapeString(i.name))
	}
	return top
}

// times draws the axis of the time below a plot.
func (c canvas) times(left, right, top, bottom float64) {
	every := 10 * time.Minute
	if right-left < 330 {
		every = 20 * time.Minute
	}
	for at := time.Duration(0); at <= hourLength; at += every {
		x := left + (right-left)*at.Hours()/hourLength.Hours()
		fmt.Fprintf(c, `<path class="g" d="M%.1f %.1fV%.1f"/>`, x, top, bottom)
		fmt.Fprintf(c, `<text class="m" x="%.1f" y="%.1f">%s</text>`+"\n", x, bottom+16, c.start.Add(at).UTC().Format("15:04"))
	}
}

// states draws a band for each series, in the colours of the mappings.
func (c canvas) states(p panel, all []series) {
	var items []item
	colour := map[float64]string{}
	for _, m := range p.FieldConfig.Defaults.Mappings {
		for value := range len(m.Options) {
			o := m.Options[strconv.Itoa(value)]
			colour[float64(value)] = colours[o.Color]
			items = append(items, item{o.Text, colours[o.Color]})
		}
	}
	widest := 0.0
	for _, s := range all {
		widest = max(widest, textWidth(s.name))
	}
	left, right, top := padding+widest+6, c.width-22, float64(titleHeight)+4
	bottom := c.legend(items) - 24
	c.times(left, right, top, bottom)
	each := (bottom - top) / float64(len(all))
	for row, s := range all {
		y := top + float64(row)*each
		fmt.Fprintf(c, `<text class="e" x="%.1f" y="%.1f">%s</text>`+"\n", left-6, y+each/2+4, html.EscapeString(s.name))
		for from := 0; from < len(s.points); {
			to := from + 1
			for to < len(s.points) && s.points[to].value == s.points[from].value {
				to++
			}
			end := hourLength
			if to < len(s.points) {
				end = s.points[to].at
			}
			x := func(at time.Duration) float64 { return left + (right-left)*at.Hours()/hourLength.Hours() }
			fmt.Fprintf(c, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s" fill-opacity="%.2f"/>`+"\n",
				x(s.points[from].at), y+each*0.1, x(end)-x(s.points[from].at), each*0.8, colour[s.points[from].value],
				float64(p.FieldConfig.Defaults.Custom.FillOpacity)/100)
			from = to
		}
	}
}

// lines draws a panel of lines, or of bars that stand on each other.
func (c canvas) lines(p panel, all []series) {
	custom := p.FieldConfig.Defaults.Custom
	bars := custom.DrawStyle == "bars"
	var items []item
	sums := map[time.Duration]float64{}
	peak := 0.0
	for i, s := range all {
		items = append(items, item{s.name, palette[i%len(palette)]})
		for _, q := range s.points {
			if bars {
				sums[q.at] += q.value
				peak = max(peak, sums[q.at])
			} else {
				peak = max(peak, q.value)
			}
		}
	}
	whole := p.FieldConfig.Defaults.Decimals != nil && *p.FieldConfig.Defaults.Decimals == 0
	ticks, labels := axis(p.FieldConfig.Defaults.Unit, peak, whole)
	widest := 0.0
	for _, l := range labels {
		widest = max(widest, textWidth(l))
	}
	left, right, top := padding+widest+6, c.width-22, float64(titleHeight)+8
	bottom := c.legend(items) - 24
	x := func(at time.Duration) float64 { return left + (right-left)*at.Hours()/hourLength.Hours() }
	y := func(v float64) float64 { return bottom - (bottom-top)*v/ticks[len(ticks)-1] }
	c.times(left, right, top, bottom)
	for i, v := range ticks {
		fmt.Fprintf(c, `<path class="g" d="M%.1f %.1fH%.1f"/>`, left, y(v), right)
		fmt.Fprintf(c, `<text class="e" x="%.1f" y="%.1f">%s</text>`+"\n", left-6, y(v)+4, labels[i])
	}

	if bars {
		base := map[time.Duration]float64{}
		half := scrapeInterval / 2
		for i, s := range all {
			var path strings.Builder
			for from := 0; from < len(s.points); {
				q, to := s.points[from], from+1
				for to < len(s.points) && s.points[to].value == q.value && base[s.points[to].at] == base[q.at] {
					to++
				}
				if q.value != 0 {
					x0, x1 := max(x(q.at-half), left), min(x(s.points[to-1].at+half), right)
					y0, y1 := y(base[q.at]), y(base[q.at]+q.value)
					fmt.Fprintf(&path, "M%.1f %.1fH%.1fV%.1fH%.1fz", x0, y0, x1, y1, x0)
				}
				from = to
			}
			for _, q := range s.points {
				base[q.at] += q.value
			}
			if path.Len() > 0 {
				fmt.Fprintf(c, `<path fill="%s" fill-opacity=".85" d="%s"/>`+"\n", items[i].colour, &path)
			}
		}
		return
	}
	// The first series lies on top, so that a line at 0 hides none of those before it.
	for i, s := range slices.Backward(all) {
		var line, area strings.Builder
		for _, run := range s.runs() {
			var dots [][2]float64
			for _, q := range run {
				dots = append(dots, [2]float64{x(q.at), y(q.value)})
			}
			dots = simplify(dots)
			d := path(dots)
			line.WriteString(d)
			fmt.Fprintf(&area, "%sV%.1fH%.1fz", d, bottom, dots[0][0])
		}
		fmt.Fprintf(c, `<path class="l" stroke="%s" d="%s"/>`+"\n", items[i].colour, &line)
		if custom.FillOpacity > 0 && slices.ContainsFunc(s.points, func(q point) bool { return q.value != 0 }) {
			fmt.Fprintf(c, `<path fill="%s" fill-opacity="%.2f" d="%s"/>`+"\n", items[i].colour, float64(custom.FillOpacity)/100, &area)
		}
	}
}

// runs are the points between those at which there is no value.
func (s series) runs() (all [][]point) {
	for i, q := range s.points {
		if i == 0 || q.at-s.points[i-1].at > scrapeInterval {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], q)
	}
	return all
}

// simplify leaves out points that a line without them passes within a third of
// a pixel (Douglas and Peucker).
func simplify(dots [][2]float64) [][2]float64 {
	if len(dots) < 3 {
		return dots
	}
	a, b := dots[0], dots[len(dots)-1]
	far, at := 0.0, 0
	for i, q := range dots[1 : len(dots)-1] {
		// The lines go from left to right, so the vertical distance will do.
		if d := math.Abs(a[1] + (b[1]-a[1])*(q[0]-a[0])/(b[0]-a[0]) - q[1]); d > far {
			far, at = d, i+1
		}
	}
	if far < 1.0/3 {
		return [][2]float64{a, b}
	}
	return append(simplify(dots[:at+1]), simplify(dots[at:])[1:]...)
}

// path is the d of one line.
func path(dots [][2]float64) string {
	var b strings.Builder
	for i, q := range dots {
		switch {
		case i == 0:
			fmt.Fprintf(&b, "M%.1f %.1f", q[0], q[1])
		case i == 1:
			fmt.Fprintf(&b, "L%.1f %.1f", q[0], q[1])
		default:
			fmt.Fprintf(&b, " %.1f %.1f", q[0], q[1])
		}
	}
	if len(dots) == 1 {
		b.WriteString("h.5")
	}
	return b.String()
}

// unit is what values of an axis are divided by, and what is written after them.
type unit struct {
	size   float64
	suffix string
}

// units are those of Grafana that the dashboard uses, with their prefixes.
var units = map[string][]unit{
	"short": {{1, ""}, {1e3, " K"}},
	"s":     {{1e-3, " ms"}, {1, " s"}},
	"cps":   {{1, " c/s"}},
	"Bps":   {{1, " B/s"}, {1e3, " kB/s"}},
	"bytes": {{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}},
}

// axis returns some round values from 0 to at least peak, and what they are
// called in a unit of Grafana.
func axis(name string, peak float64, whole bool) (ticks []float64, labels []string) {
	all := units[name]
	if all == nil {
		panic("the picture does not know the unit " + name)
	}
	u := all[0]
	for _, larger := range all[1:] {
		if peak >= larger.size {
			u = larger
		}
	}
	step := math.Pow(10, math.Floor(math.Log10(max(peak, u.size*1e-3)/u.size/4)))
	for _, factor := range []float64{2, 2.5, 2} { // 1, 2, 5, 10
		if step*4*u.size < peak {
			step *= factor
		}
	}
	if whole && u.size == 1 {
		step = max(step, 1)
	}
	for n := 0; n == 0 || ticks[n-1] < peak; n++ {
		ticks = append(ticks, float64(n)*step*u.size)
		labels = append(labels, strconv.FormatFloat(float64(n)*step, 'g', 3, 64)+u.suffix)
	}
	return ticks, labels
}
