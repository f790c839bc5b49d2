package wsnotifyprom_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

// exposition is what a scrape of the registry shows.
func exposition(t *testing.T, registry prometheus.Gatherer) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// wantValues fails the test unless a scrape shows these lines.
func wantValues(t *testing.T, registry prometheus.Gatherer, when string, want ...string) {
	t.Helper()
	got := exposition(t, registry)
	lines := strings.Split(got, "\n")
	for _, line := range want {
		if !slices.Contains(lines, line) {
			t.Errorf("%s: %s is missing in\n%s", when, line, got)
			return
		}
	}
}
