package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/examples/internal/demo"
	"github.com/wsnotify/wsnotify/examples/internal/demotest"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// scene is an inbox and the server it talks to.
type scene struct {
	*testing.T
	srv   *wsnotifytest.Server
	inbox *inbox
	ended chan error // gets what run returns

	mu    sync.Mutex
	shown []string
}

// play runs test in virtual time, in which ten seconds between reconnects
// pass at once, on a network in memory. A goroutine or a connection that the
// code under test has left at the end fails it. Inside, t is the scene: the
// testing.T outside does not belong to its bubble.
func play(t *testing.T, test func(t *scene)) {
	synctest.Test(t, func(t *testing.T) {
		test(&scene{T: t, srv: wsnotifytest.NewNetwork(t).NewServer(), ended: make(chan error, 1)})
	})
}

// begin starts the inbox. The test ends it.
func (t *scene) begin() {
	t.inbox = newInbox(wsnotify.Config{HTTPClient: t.srv.HTTPClient()}, func(text string) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.shown = append(t.shown, text)
	})
	go func() { t.ended <- t.inbox.run(t.Context(), t.srv.URL(), "ada") }()
}

// signIn is begin, with a server that has one mail for the user.
func (t *scene) signIn() {
	t.Helper()
	t.srv.OnMessage(func(c *wsnotifytest.Conn, _ byte, data []byte) {
		if string(data) == `{"list":"unread"}` {
			c.Notify("unread", []string{"1"})
		}
	})
	t.begin()
	t.wants("1 unread")
}

// wants waits until everything that happens now has happened, and then fails
// the test unless the texts have been shown since it was last called.
func (t *scene) wants(texts ...string) {
	t.Helper()
	synctest.Wait()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Equal(t.shown, texts) {
		t.Errorf("it has shown %q and not %q", t.shown, texts)
	}
	t.shown = nil
}

func TestNewMail(t *testing.T) {
	play(t, func(t *scene) {
		t.signIn()
		t.srv.Notify("ada", "mail", "2")
		t.srv.Notify("ada", "mail", "2") // twice the same
		t.wants("2 unread", "2 unread")
		t.srv.Notify("ada", "mail", 2) // no text: not ours to count
		t.wants()
	})
}

func TestServerRestarts(t *testing.T) {
	play(t, func(t *scene) {
		t.signIn()
		t.srv.Restart(25 * time.Second) // it goes, and comes back
		t.wants("offline, 1 unread when last seen")
		time.Sleep(29 * time.Second)
		t.wants()
		time.Sleep(time.Second) // the third attempt
		t.wants("1 unread")
	})
}

func TestReadWhileOffline(t *testing.T) {
	play(t, func(t *scene) {
		t.signIn()
		t.srv.Stop()
		t.wants("offline, 1 unread when last seen")
		if err := t.inbox.read("1"); err != nil {
			t.Fatal(err)
		}
		t.wants("0 unread")
		t.srv.Start()
		// WaitMessages returns when the server has got so many. No sleep is long enough
		// in real time, and in virtual time none has to be guessed.
		got, err := t.srv.WaitMessages(t.Context(), "ada", 3)
		if want := `{"read":"1"}`; err != nil || got[2] != want {
			t.Errorf("the server has got %q, %v and not %s", got, err, want)
		}
	})
}

// The cable is pulled: no error, no packet, nothing.
func TestDeadLink(t *testing.T) {
	play(t, func(t *scene) {
		t.signIn()
		t.srv.BlackHole(true)
		time.Sleep(13 * time.Second) // two heartbeats, the second of which nobody answers
		t.wants("offline, 1 unread when last seen")
	})
}

func TestRefused(t *testing.T) {
	play(t, func(t *scene) {
		t.signIn()
		t.srv.Refuse(-1, http.StatusForbidden, nil, "the account is closed")
		t.srv.User("ada").Close(4001, "signed out")
		t.wants("offline, 1 unread when last seen")

		// It tries for a minute, and then it says why not.
		var gaveUp *wsnotify.GiveUpError
		if err := <-t.ended; !errors.As(err, &gaveUp) || gaveUp.Failure.HTTPStatus != http.StatusForbidden {
			t.Errorf("it ended with %v", err)
		}
		if n := len(t.srv.Handshakes()); n != 1+6 {
			t.Errorf("the server saw %d handshakes", n)
		}
	})
}

// A story is easier to read as a script.
func TestScript(t *testing.T) {
	play(t, func(t *scene) {
		over := t.srv.Script(t.Context(),
			wsnotifytest.AcceptUser("ada"),
			wsnotifytest.Expect(`{"list":"unread"}`),
			wsnotifytest.SayNotification("unread", []string{"1"}),
			wsnotifytest.DropConn(),
			wsnotifytest.RefuseWith(http.StatusServiceUnavailable),
			wsnotifytest.Accept(),
			wsnotifytest.Expect(`{"list":"unread"}`),
			wsnotifytest.SayNotification("unread", []string{"1", "2"}),
		)
		t.begin() // after Script, which has decided what each handshake is answered
		if err := over(); err != nil {
			t.Error(err)
		}
		t.wants("1 unread", "offline, 1 unread when last seen", "2 unread")
	})
}

// The same on real sockets, for what virtual time can't show.
func TestLoopback(t *testing.T) {
	srv := wsnotifytest.NewServer(t)
	texts := make(chan string, 10)
	in := newInbox(wsnotify.Config{HTTPClient: srv.HTTPClient()}, func(text string) { texts <- text })
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- in.run(ctx, srv.URL(), "ada") }()
	conn, err := srv.Conn(t.Context(), "ada")
	if err != nil {
		t.Fatal(err)
	}
	conn.Notify("mail", "1")
	if text := <-texts; text != "1 unread" {
		t.Errorf("it shows %s", text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if code := conn.CloseCode(); code != 1000 {
		t.Errorf("it closed with %d", code)
	}
}

// TestOutput checks what the comment in main.go says.
func TestOutput(t *testing.T) {
	demotest.Output(t, func(ctx context.Context, out io.Writer) error {
		return demo.Run(ctx, nil, out, run, script)
	})
}
