package wsnotifyprom_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/observe"
)

var update = flag.Bool("update", false, "draw docs/dashboard.svg anew")

const pictureFile = "../docs/dashboard.svg"

// TestPicture asks Prometheus for each panel, of an hour in which each of
// them has something to show. With -update it draws the picture of
// docs/alerts.md from the answers:
//
//	go test -run TestPicture -update
func TestPicture(t *testing.T) {
	for _, program := range []string{"prometheus", "promtool"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program + " is not installed; Debian's package is prometheus")
		}
	}
	metrics, start, ends := anHour(t)
	server := startPrometheus(t, metrics)
	d := readDashboard(t)
	answers := map[int][]series{} // by panel
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			expr := strings.NewReplacer("$client", ".*", "$__rate_interval", "1m").Replace(target.Expr)
			got := server.query(t, expr, target.Instant, start)
			for i, s := range got {
				got[i].name = legend.ReplaceAllStringFunc(target.LegendFormat, func(l string) string {
					return s.labels[strings.Trim(l, "{}")]
				})
			}
			checkAnswer(t, p.Title+", "+target.RefID, got)
			answers[p.ID] = append(answers[p.ID], got...)
		}
	}
	checkStats(t, d, answers, ends)
	if *update && !t.Failed() {
		if err := os.WriteFile(pictureFile, drawDashboard(d, answers, start), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// checkAnswer fails the test if the query of a panel shows nothing. One by
// cause or by reason has to show each of them.
func checkAnswer(t *testing.T, what string, got []series) {
	t.Helper()
	if len(got) == 0 {
		t.Errorf("%s: the answer is empty", what)
	}
	shown := false
	for _, s := range got {
		something := false
		for _, p := range s.points {
			something = something || p.value != 0
		}
		if s.labels["client"] == "" && !something {
			t.Errorf("%s: %s is 0 for the whole hour", what, s.name)
		}
		shown = shown || something
	}
	if !shown {
		t.Errorf("%s: all is 0 for the whole hour", what)
	}
}

// checkStats compares the numbers at the top, and the last states, with those of the clients.
func checkStats(t *testing.T, d dashboard, answers map[int][]series, ends []wsnotify.Status) {
	t.Helper()
	want := map[string]float64{}
	for _, s := range ends {
		if s.ReadyState == wsnotify.Open {
			want["Open"]++
		}
		if s.GaveUp {
			want["Gave up"]++
		}
		for _, n := range observe.Causes(s.FailuresRetried) {
			want["Reconnects in the last hour"] += float64(n)
		}
		want["Undelivered in the last hour"] += float64(s.Undelivered)
	}
	for _, p := range d.Panels {
		switch p.Type {
		case "stat":
			// What Prometheus extrapolates of an increase is not exact.
			if got, n := answers[p.ID][0].last(), want[p.Title]; n == 0 || math.Abs(got-n) > 0.5+n/50 {
				t.Errorf("%s: %v, and the clients have %v", p.Title, got, n)
			}
		case "state-timeline":
			seen := map[float64]bool{}
			for _, s := range answers[p.ID] {
				for _, point := range s.points {
					seen[point.value] = true
				}
			}
			for _, state := range []wsnotify.ReadyState{wsnotify.Connecting, wsnotify.Open, wsnotify.Closed} {
				if !seen[float64(state)] {
					t.Errorf("%s: no client is ever %v", p.Title, state)
				}
			}
		}
	}
}

// The picture is of the dashboard as it is: each panel with its legend.
func TestPictureIsOfTheDashboard(t *testing.T) {
	svg, err := os.ReadFile(pictureFile)
	if err != nil {
		t.Fatal(err)
	}
	if len(svg) > 150_000 {
		t.Errorf("%s has %d bytes, and is part of a page", pictureFile, len(svg))
	}
	texts := map[string]bool{}
	for decoder := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s is not XML: %v", pictureFile, err)
		}
		if data, ok := token.(xml.CharData); ok {
			texts[string(data)] = true
		}
	}
	const again = "draw it again: go test -run TestPicture -update"
	for _, p := range readDashboard(t).Panels {
		if !texts[p.Title] || !texts[p.Description] {
			t.Errorf("%s lacks the panel %s; %s", pictureFile, p.Title, again)
		}
		for _, target := range p.Targets {
			if p.Type == "stat" {
				continue
			}
			words := legend.Split(target.LegendFormat, -1)
			for i := range words {
				words[i] = regexp.QuoteMeta(words[i])
			}
			name := regexp.MustCompile("^" + strings.Join(words, ".+") + "$")
			found := false
			for text := range texts {
				found = found || name.MatchString(text)
			}
			if !found {
				t.Errorf("%s: the legend of %s lacks %s; %s", pictureFile, p.Title, target.LegendFormat, again)
			}
		}
	}
}

// series is one answer of a query.
type series struct {
	name   string // in the legend
	labels map[string]string
	points []point
}

type point struct {
	at    time.Duration // since the hour began
	value float64
}

func (s series) last() float64 { return s.points[len(s.points)-1].value }

// promServer is a Prometheus that has data and scrapes nothing.
type promServer struct{ url string }

// startPrometheus runs one on loopback until the test ends.
func startPrometheus(t *testing.T, metrics []byte) promServer {
	t.Helper()
	dir := t.TempDir()
	text, config, data := filepath.Join(dir, "metrics.txt"), filepath.Join(dir, "prometheus.yml"), filepath.Join(dir, "data")
	for file, content := range map[string][]byte{text: metrics, config: []byte("{}\n")} {
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	promtool := exec.CommandContext(t.Context(), "promtool", "tsdb", "create-blocks-from", "openmetrics", text, data)
	if out, err := promtool.CombinedOutput(); err != nil {
		t.Fatalf("promtool: %v\n%s", err, out)
	}
	cmd := exec.Command("prometheus", "--config.file="+config, "--storage.tsdb.path="+data, "--web.listen-address=127.0.0.1:0",
		"--storage.tsdb.retention.time=100y", // the hour is in the year 2000
		// A scrape without a series ends it. OpenMetrics can't say so, so that Prometheus
		// has to forget the series by itself, and soon.
		"--query.lookback-delta="+(scrapeInterval+time.Second).String())
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var server promServer
	started, over := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(over)
		var log strings.Builder
		ready := false // it says that before or after the address
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(&log, lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				server.url = "http://" + m[1]
			}
			ready = ready || strings.Contains(lines.Text(), "Server is ready")
			if server.url != "" && ready {
				started <- nil
				io.Copy(io.Discard, stderr)
				return
			}
		}
		started <- fmt.Errorf("prometheus does not say that it is ready, and where it listens:\n%s", &log)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill() // its data are temporary
		<-over
		cmd.Wait()
	})
	select {
	case err = <-started:
	case <-time.After(time.Minute):
		err = errors.New("prometheus is not ready after a minute")
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}

var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// query evaluates an expression over the hour, or at its end.
func (s promServer) query(t *testing.T, expr string, instant bool, start time.Time) []series {
	t.Helper()
	end := start.Add(hourLength)
	path, args := "/api/v1/query_range", url.Values{
		"query": {expr},
		"start": {strconv.FormatInt(start.Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)},
		"step": {strconv.Itoa(int(scrapeInterval.Seconds()))},
	}
	if instant {
		path, args = "/api/v1/query", url.Values{"query": {expr}, "time": {strconv.FormatInt(end.Unix(), 10)}}
	}
	resp, err := http.Get(s.url + path + "?" + args.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	type sample [2]any // seconds, and the value as text
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  sample
				Values []sample
			}
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Status != "success" {
		t.Fatalf("%s: %s", expr, answer.Error)
	}
	var all []series
	for _, r := range answer.Data.Result {
		if instant {
			r.Values = []sample{r.Value}
		}
		one := series{labels: r.Metric}
		for _, v := range r.Values {
			value, err := strconv.ParseFloat(v[1].(string), 64)
			if err != nil {
				t.Fatal(err)
			}
			at := time.Duration((v[0].(float64) - float64(start.Unix())) * float64(time.Second))
			one.points = append(one.points, point{at.Round(time.Millisecond), value})
		}
		all = append(all, one)
	}
	return all
}
