// Package recorded reads what a real browser did, as tests/whatwg/testdata has it.
package recorded

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// Scenario is what a page saw that used the browser's WebSocket by itself.
type Scenario struct {
	Name        string
	ReadyStates []wsnotify.ReadyState
	CloseFrame  string
	Events      []struct {
		Event    string
		Code     int
		Reason   string
		WasClean bool
		Data     string
	}
}

// Read returns the scenarios of a file.
func Read(t testing.TB, path string) []Scenario {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Scenarios []Scenario }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	return file.Scenarios
}

// Want is what the callbacks of a client are to see of it.
func (s Scenario) Want() (events []string) {
	wasOpen := false
	for _, ev := range s.Events {
		switch ev.Event {
		case "message":
			events = append(events, "message "+ev.Data)
		case "close":
			if wasOpen { // a failed attempt has no OnClose
				events = append(events, fmt.Sprintf("close %d %q %v", ev.Code, ev.Reason, ev.WasClean))
			}
		default:
			wasOpen = wasOpen || ev.Event == "open"
			events = append(events, ev.Event)
		}
	}
	return events
}
