package hostile

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
)

// hostile is a server that does not do what it should, and what follows from it.
// docs/failures.md shows the same to the users.
type hostile struct {
	does   string // the server; it is the row's name
	script func(*harness.Peer)
	cfg    wsnotify.Config
	act    func(*harness.World) error // done once the connection is open; its error is Err

	within  time.Duration // from the dial until the failure is known: exactly
	failure string        // phase, initiator, code or status, Retry-After
	err     string        // a part of Failure.Err's text
	as      string        // what it is to errors.As and errors.Is
	silent  bool          // there is no OnError
	close   string        // OnClose, if it was open
	deliver int           // messages that OnMessage sees
	stops   bool          // FailFast says so

	http1 bool   // it breaks HTTP/1.1, and no other way of carrying a WebSocket
	takes int64  // bytes that the client reads at most; 0: 64 KiB
	alloc uint64 // bytes that are allocated at most; 0: 4 MiB
}

// TestHostileServers checks each row: bounded time, the right Failure, nothing
// delivered that was not whole and valid, nothing left behind.
func TestHostileServers(t *testing.T) {
	for _, row := range hostileRows() {
		t.Run(row.does, func(t *testing.T) { row.run(t) })
	}
}

func (row *hostile) run(t *testing.T) {
	if row.http1 && harness.Carry != nil {
		t.Skip("of HTTP/1.1 alone")
	}
	cfg := row.cfg
	cfg.BackOff = harness.Never
	var errs []error
	var delivered, opened int
	var closed []wsnotify.CloseEvent
	var within time.Duration
	var dialled time.Time
	cfg.OnStateChange = func(ev wsnotify.StateChange) {
		if ev.To == wsnotify.Connecting {
			dialled = time.Now()
		}
	}
	cfg.OnError = func(err error) { errs = append(errs, err) }
	cfg.OnMessage = func(m wsnotify.Message) {
		if delivered++; string(m.Data) != `{"msgType":"a","content":"b"}` {
			t.Errorf("%.50q was delivered", m.Data)
		}
	}
	cfg.OnOpen = func(wsnotify.OpenEvent) { opened++ }
	cfg.OnClose = func(ev wsnotify.CloseEvent) { closed = append(closed, ev); within = time.Since(dialled) }
	cfg.OnGiveUp = func(*wsnotify.GiveUpError) { within = time.Since(dialled) }

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var f wsnotify.Failure
	var acted error
	var dials, took int64
	harness.InRawBubble(t, cfg, row.script, func(w *harness.World, n *harness.RawNet) {
		err := w.Client.Connect(w.Context(), "ws://server/ws/?token=secret-of-ada&user=", "ada")
		if err == nil && row.act != nil {
			acted = row.act(w)
		}
		<-w.Client.Done()
		f = *w.Client.Status().LastFailure
		dials, took = n.Dials.Load(), n.Read.Load()
	})
	runtime.ReadMemStats(&after)

	if dials != 1 {
		t.Errorf("it dialled %d times", dials)
	}
	if within != row.within {
		t.Errorf("it was known after %v and not %v", within, row.within)
	}
	if got := harness.Describe(f); got != row.failure {
		t.Errorf("the failure is %q and not %q (%v)", got, row.failure, f.Err)
	}
	err := f.Err
	if row.act != nil && acted != nil {
		err = acted
	}
	if !strings.Contains(err.Error(), row.err) {
		t.Errorf("the error is %q", err)
	}
	harness.CheckShown(t, err.Error())
	if got := harness.Typed(err); got != row.as {
		t.Errorf("the error is %s and not %s: %v", got, row.as, err)
	}
	if silent := len(errs) == 0; silent != row.silent || len(errs) > 1 {
		t.Errorf("OnError: %v", errs)
	}
	if delivered != row.deliver {
		t.Errorf("%d messages were delivered and not %d", delivered, row.deliver)
	}
	var got string
	if len(closed) > 0 {
		if got = fmt.Sprint(int(closed[0].Code)); closed[0].WasClean {
			got += " clean"
		}
	}
	if got != row.close || opened != len(closed) {
		t.Errorf("%d OnOpen, OnClose %q and not %q", opened, got, row.close)
	}
	if stops := !wsnotify.FailFast(f); stops != row.stops {
		t.Errorf("FailFast stops: %v and not %v", stops, row.stops)
	}
	// A stream of HTTP/2 can be half-closed, which these connections can't otherwise. What comes
	// until the peer ends it is read and discarded then: that is limited by time, and not by size.
	if limit := max(row.takes, 64<<10); took > limit && harness.Carry == nil {
		t.Errorf("%d bytes were read, more than %d", took, limit)
	}
	limit := row.alloc
	if limit == 0 {
		limit = 4 << 20
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > limit && !harness.UnderRace {
		t.Errorf("%d bytes were allocated, more than %d", n, limit)
	}
}

const (
	failuresPage = "../../docs/failures.md"
	tableBegins  = "<!-- The table is written by: go test ./tests/hostile -run TestFailuresPage -update -->\n"
	tableEnds    = "<!-- end of the table -->\n"
)

var update = flag.Bool("update", false, "write the table of docs/failures.md anew")

// The page shows the rows that are tested, and no others.
func TestFailuresPage(t *testing.T) {
	page, err := os.ReadFile(failuresPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), tableBegins)
	table, tail, ended := strings.Cut(rest, tableEnds)
	if !ok || !ended {
		t.Fatalf("%s has no place for the table", failuresPage)
	}
	want := failuresTable()
	if *update {
		if err := os.WriteFile(failuresPage, []byte(head+tableBegins+want+tableEnds+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Errorf("%s is not what the tests hold; run: go test ./tests/hostile -run TestFailuresPage -update", failuresPage)
	}
}

func failuresTable() string {
	var b strings.Builder
	b.WriteString("\n| the server | known after | `Failure` | its `Err` | `OnError` | `OnClose` | `FailFast` |\n")
	b.WriteString("| --- | ---: | --- | --- | --- | --- | --- |\n")
	for _, row := range hostileRows() {
		after, reported, closed, stops := "at once", "yes", "–", "retries"
		if row.within > 0 {
			after = strings.NewReplacer("ms", " ms", "s", " s").Replace(row.within.String())
		}
		if row.silent {
			reported = "–"
		}
		if row.close != "" {
			closed = row.close
		}
		if row.stops {
			stops = "stops"
		}
		says := strings.ReplaceAll(row.err, "|", `\|`)
		if row.as != "" {
			says = "`" + row.as + "`: " + says
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", row.does, after, row.failure, says, reported, closed, stops)
	}
	b.WriteString("\n")
	return b.String()
}
