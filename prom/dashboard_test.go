package wsnotifyprom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/wsnotify/wsnotify"
	wsnotifyprom "github.com/wsnotify/wsnotify/prom"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// dashboard is what Grafana needs of one.
type dashboard struct {
	UID           string
	Title         string
	SchemaVersion int
	Templating    struct{ List []variable }
	Panels        []panel
}

type variable struct {
	Name, Type string
	Query      any
	Datasource datasource
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               datasource
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct {
		Defaults struct {
			Unit     string
			Decimals *int
			Custom   struct {
				DrawStyle   string
				FillOpacity int
			}
			Thresholds struct {
				Steps []struct {
					Color string
					Value *float64
				}
			}
			Mappings []struct {
				Options map[string]struct{ Text, Color string }
			}
		}
	}
	Targets []struct {
		RefID, Expr, LegendFormat string
		Instant                   bool
		Datasource                datasource
	}
}

type datasource struct{ Type, UID string }

var fromVariable = datasource{Type: "prometheus", UID: "${datasource}"}

func readDashboard(t *testing.T) dashboard {
	t.Helper()
	data, err := os.ReadFile("dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(data, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDashboardCanBeImported(t *testing.T) {
	d := readDashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 {
		t.Errorf("uid %q, title %q, schemaVersion %d", d.UID, d.Title, d.SchemaVersion)
	}
	variables := map[string]variable{}
	for _, v := range d.Templating.List {
		variables[v.Name] = v
	}
	if v := variables["datasource"]; v.Type != "datasource" || v.Query != "prometheus" {
		t.Errorf("the variable for the data source is %+v", v)
	}
	if v := variables["client"]; v.Type != "query" || v.Datasource != fromVariable {
		t.Errorf("the variable for the client is %+v", v)
	}
	ids := map[int]bool{}
	taken := map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("%s: the id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		if !slices.Contains([]string{"stat", "timeseries", "state-timeline"}, p.Type) {
			t.Errorf("%s: a panel of type %q", p.Title, p.Type)
		}
		if p.Title == "" || p.Description == "" || p.FieldConfig.Defaults.Unit == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d lacks a title, description, unit or query", p.ID)
		}
		if p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("%s stands outside: %+v", p.Title, p.GridPos)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := taken[at]; other != "" {
					t.Fatalf("%s stands over %s", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, q := range p.Targets {
			if p.Datasource != fromVariable || q.Datasource != fromVariable {
				t.Errorf("%s is not of the data source that was chosen", p.Title)
			}
			if refs[q.RefID] || q.RefID == "" {
				t.Errorf("%s: the refId %q is not its own", p.Title, q.RefID)
			}
			refs[q.RefID] = true
		}
	}
}

var (
	metricName = regexp.MustCompile(`wsnotify_[a-z_]+`)
	selector   = regexp.MustCompile(`(wsnotify_[a-z_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z]+)(=~|=)"([^"]*)"`)
	grouping   = regexp.MustCompile(`(?:by|on) \(([^)]*)\)`)
	legend     = regexp.MustCompile(`\{\{([a-z]+)\}\}`)
)

// TestDashboardAndMetricsAgree checks that each query uses metrics, labels and
// values of labels that exist, and that each metric is shown.
func TestDashboardAndMetricsAgree(t *testing.T) {
	metrics := everyMetric(t)
	shown := map[string]bool{}
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			labels := map[string]bool{"job": true, "instance": true} // which every target has
			selectors := selector.FindAllStringSubmatch(q.Expr, -1)
			if names := metricName.FindAllString(q.Expr, -1); len(names) != len(selectors) {
				t.Errorf("%s: a metric without a choice of clients in %s", p.Title, q.Expr)
			}
			for _, s := range selectors {
				metric, ok := metrics[s[1]]
				if !ok {
					t.Errorf("%s: there is no metric %s", p.Title, s[1])
					continue
				}
				shown[s[1]] = true
				for name := range metric {
					labels[name] = true
				}
				if !strings.HasPrefix(s[2], `client=~"$client"`) {
					t.Errorf("%s: not of the clients that were chosen: %s", p.Title, s[0])
				}
				for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
					if values := metric[m[1]]; values == nil || m[2] == "=" && !values[m[3]] {
						t.Errorf("%s: nothing matches %s of %s", p.Title, m[0], s[1])
					}
				}
			}
			var used []string
			for _, g := range grouping.FindAllStringSubmatch(q.Expr, -1) {
				used = append(used, strings.Split(g[1], ", ")...)
			}
			for _, l := range legend.FindAllStringSubmatch(q.LegendFormat, -1) {
				used = append(used, l[1])
			}
			for _, name := range used {
				if !labels[name] {
					t.Errorf("%s: there is no label %q in %s, %s", p.Title, name, q.Expr, q.LegendFormat)
				}
			}
		}
	}
	for name := range metrics {
		if !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// TestDashboardQueriesArePromQL asks promtool, if it is installed.
func TestDashboardQueriesArePromQL(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed; it is part of Prometheus")
	}
	var rules bytes.Buffer
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range readDashboard(t).Panels {
		for _, q := range p.Targets {
			expr := strings.ReplaceAll(q.Expr, "$__rate_interval", "5m")
			fmt.Fprintf(&rules, "  - record: panel%d:%s\n    expr: %q\n", p.ID, q.RefID, expr)
		}
	}
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, rules.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAlertsAndMetricsAgree checks that each alert is of metrics, labels and
// values of labels that exist.
func TestAlertsAndMetricsAgree(t *testing.T) {
	rules, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	metrics := everyMetric(t)
	alerts := 0
	for line := range strings.Lines(string(rules)) {
		expr, ok := strings.CutPrefix(strings.TrimSpace(line), "expr: ")
		if !ok {
			continue
		}
		alerts++
		labels := map[string]bool{"job": true, "instance": true}
		names := metricName.FindAllString(expr, -1)
		if len(names) == 0 {
			t.Errorf("%s is of no metric", expr)
		}
		for _, name := range names {
			if metrics[name] == nil {
				t.Errorf("there is no metric %s, as %s has it", name, expr)
			}
			for label := range metrics[name] {
				labels[label] = true
			}
		}
		for _, s := range selector.FindAllStringSubmatch(expr, -1) {
			for _, m := range regexp.MustCompile(`([a-z]+)(!=|=)"([^"]*)"`).FindAllStringSubmatch(s[2], -1) {
				if !metrics[s[1]][m[1]][m[3]] {
					t.Errorf("nothing matches %s of %s", m[0], s[1])
				}
			}
		}
		for _, g := range regexp.MustCompile(`(?:without|by|on) \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
			for label := range strings.SplitSeq(g[1], ", ") {
				if !labels[label] {
					t.Errorf("there is no label %q in %s", label, expr)
				}
			}
		}
	}
	if alerts < 5 {
		t.Errorf("there are %d alerts", alerts)
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "alerts.yml").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// everyMetric returns the names of the metrics with their labels and the
// values of those.
func everyMetric(t *testing.T) map[string]map[string]map[string]bool {
	t.Helper()
	metrics := map[string]map[string]map[string]bool{}
	synctest.Test(t, func(t *testing.T) {
		net := wsnotifytest.NewNetwork(t)
		srv := net.NewServer()
		srv.Latency(time.Millisecond)
		client := wsnotify.New(wsnotify.Config{HTTPClient: net.HTTPClient()})
		if err := client.Connect(t.Context(), srv.URL(), "ada"); err != nil {
			t.Fatal(err)
		}
		defer client.Disconnect()
		if _, err := client.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(wsnotifyprom.NewCollector("mail", client))
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			labels := map[string]map[string]bool{}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if labels[l.GetName()] == nil {
						labels[l.GetName()] = map[string]bool{}
					}
					labels[l.GetName()][l.GetValue()] = true
				}
			}
			metrics[f.GetName()] = labels
		}
	})
	if documented := documentedMetrics(t); !slices.Equal(documented, slices.Sorted(maps.Keys(metrics))) {
		t.Errorf("the package's comment names %v", documented)
	}
	return metrics
}

// documentedMetrics are those of the package's comment.
func documentedMetrics(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("prom.go")
	if err != nil {
		t.Fatal(err)
	}
	comment, _, _ := strings.Cut(string(source), "package wsnotifyprom")
	return slices.Sorted(slices.Values(metricName.FindAllString(comment, -1)))
}
