package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

const changelogName = "CHANGELOG.md"

// unreleased is the heading under which changes are collected.
const unreleased = "## [Unreleased]"

// kinds are the headings of Keep a Changelog.
var kinds = []string{"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}

var headingOfVersion = regexp.MustCompile(`^## \[(\d+\.\d+\.\d+\S*)\] - (\d{4}-\d\d-\d\d)$`)

// changes is what stands under one heading of a version.
type changes struct {
	heading string
	entries int
}

// parseChangelog returns the changes, the latest first, and all that is wrong
// with the form.
func parseChangelog(text string) (all []changes, wrong []string) {
	for i, line := range strings.Split(text, "\n") {
		complain := func(format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("%s:%d: ", changelogName, i+1)+fmt.Sprintf(format, args...))
		}
		switch {
		case strings.HasPrefix(line, "## "):
			match := headingOfVersion.FindStringSubmatch(line)
			if match == nil && line != unreleased {
				complain("%q must be %q, or like \"## [1.2.3] - 2006-01-02\"", line, unreleased)
			} else if match != nil {
				if _, err := time.Parse(time.DateOnly, match[2]); err != nil {
					complain("there is no day %s", match[2])
				}
			}
			all = append(all, changes{heading: line})
		case strings.HasPrefix(line, "### "):
			if kind := strings.TrimPrefix(line, "### "); !slices.Contains(kinds, kind) {
				complain("%q must be one of %s", kind, strings.Join(kinds, ", "))
			}
		case strings.HasPrefix(line, "- ") && len(all) > 0:
			all[len(all)-1].entries++
		}
	}
	if len(all) == 0 || all[0].heading != unreleased {
		wrong = append(wrong, fmt.Sprintf("%s: the first heading must be %q", changelogName, unreleased))
	}
	return all, wrong
}

// checkChangelog says what is in the way of a release of the version.
func checkChangelog(text, version string) (wrong []string) {
	all, wrong := parseChangelog(text)
	if len(wrong) > 0 {
		return wrong
	}
	if all[0].entries > 0 {
		wrong = append(wrong, fmt.Sprintf("%s: changes still stand under %q: run set %s", changelogName, unreleased, version))
	}
	if len(all) < 2 || !strings.HasPrefix(all[1].heading, headingStart(version)) {
		wrong = append(wrong, fmt.Sprintf("%s: the heading after %q must be that of %s: run set %s", changelogName, unreleased, version, version))
	} else if all[1].entries == 0 {
		wrong = append(wrong, fmt.Sprintf("%s: %s has no changes", changelogName, version))
	}
	return wrong
}

// addVersion puts what is unreleased under a heading of the version. A version
// that has its heading already keeps it.
func addVersion(text, version string, now time.Time) (string, error) {
	all, wrong := parseChangelog(text)
	if len(wrong) > 0 {
		return "", fmt.Errorf("%s", strings.Join(wrong, "\n"))
	}
	for _, c := range all {
		if !strings.HasPrefix(c.heading, headingStart(version)) {
			continue
		}
		if all[0].entries > 0 {
			return "", fmt.Errorf("%s has a heading of %s, and changes under %q: move them by hand", changelogName, version, unreleased)
		}
		return text, nil
	}
	if all[0].entries == 0 {
		return "", fmt.Errorf("%s has nothing under %q", changelogName, unreleased)
	}
	heading := headingStart(version) + now.UTC().Format(time.DateOnly)
	return strings.Replace(text, unreleased+"\n", unreleased+"\n\n"+heading+"\n", 1), nil
}

func headingStart(version string) string {
	return "## [" + strings.TrimPrefix(version, "v") + "] - "
}
