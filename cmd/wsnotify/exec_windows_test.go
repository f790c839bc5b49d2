package main

import (
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A command reaches cmd.exe as it was typed, quotes and all, and what a server sends is text for it.
func TestExecOnWindows(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	c := start(t, nil, "listen", srv.URL(), "--user", "ada", "--count", "1",
		"--exec", `echo "a b" "!MSG_TYPE!" [!CONTENT!] & echo second`)
	conn, err := srv.Conn(within(t), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", `x" & echo injected`)
	c.wants(t, exitOK)
	log := strings.ReplaceAll(c.err.String(), "\r\n", "\n")
	if !strings.Contains(log, `"a b" "mail" [x" & echo injected]`) || !strings.Contains(log, "\nsecond\n") || strings.Contains(log, "\ninjected") {
		t.Errorf("it said %q", log)
	}
}
