package spool

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/wsnotify/wsnotify"
)

const (
	childEnv = "WSNOTIFY_SPOOL_CHILD" // "NAME URL PATH"; "drain" as the name sends what is left
	killsEnv = "WSNOTIFY_SPOOL_KILLS" // how many; 40 if it is not set

	producers = 4
	resumes   = "resume" // the name of a child that resumes
)

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(childEnv)); len(args) == 3 {
		if err := child(args[0], args[1], args[2]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child enqueues messages until it is killed, and prints each id that Enqueue
// has accepted. A message is its id: who made it, the producer, and a number.
func child(name, url, path string) error {
	store, err := Open(path, Options{LockTimeout: 30 * time.Second})
	if err != nil {
		return err
	}
	if name == resumes {
		return resume(store, url)
	}
	var client *wsnotify.Client
	client = wsnotify.New(wsnotify.Config{
		Heartbeat: wsnotify.Heartbeat{Interval: -1},
		BackOff:   wsnotify.Exponential(5*time.Millisecond, 50*time.Millisecond, -1),
		Outbox: wsnotify.Outbox{
			Store:     store,
			ConfirmID: func(m wsnotify.Message) string { return string(m.Data) },
			Messages:  -1, Bytes: -1, // of many lives
		},
		OnMessage: func(m wsnotify.Message) { client.Confirm(string(m.Data)) },
	})
	if name == "drain" {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		if err := client.Connect(ctx, url, name); err != nil {
			return err
		}
		err := errors.Join(client.Flush(ctx), client.Disconnect())
		<-client.Done()
		return errors.Join(err, store.Close())
	}
	go client.Run(context.Background(), url, name)
	for producer := range producers {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%s/%d/%d", name, producer, n)
				if err := client.Enqueue(wsnotify.MessageText, []byte(id)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				os.Stdout.WriteString(id + "\n")
				for client.Status().Queued > 300 { // the server is slower
					time.Sleep(time.Millisecond)
				}
			}
		}()
	}
	select {}
}

// counter is a server that counts ids, confirms, and loses connections.
type counter struct {
	mu       sync.Mutex
	received map[string]int
	applied  map[string]int // by a server that drops ids that it has seen
	next     map[string]int // by "life/producer": the number after the one first delivered last
	errors   []string
	dropped  int
}

func (c *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx := context.Background()
	for {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return
		}
		id := string(data)
		c.count(id)
		switch rand.IntN(400) {
		case 0: // it has the message, and the client never learns that over this connection
			c.mu.Lock()
			c.dropped++
			c.mu.Unlock()
			return
		case 1, 2, 3: // a confirmation that comes twice
			conn.Write(ctx, websocket.MessageText, data)
		}
		if conn.Write(ctx, websocket.MessageText, data) != nil {
			return
		}
	}
}

func (c *counter) count(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.received[id]++
	if c.received[id] > 1 {
		return
	}
	c.applied[id]++
	cut := strings.LastIndexByte(id, '/')
	n, err := strconv.Atoi(id[cut+1:])
	if err != nil || n != c.next[id[:cut]] {
		c.errors = append(c.errors, fmt.Sprintf("%s came first when %d was next", id, c.next[id[:cut]]))
	}
	c.next[id[:cut]] = n + 1
}

// life runs a child for so long, kills it, and returns what Enqueue had accepted. A negative limit begins
// with the first of that, however slow the machine is; zero is none.
func life(name, url, path string, limit time.Duration) (accepted []string, err error) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join([]string{name, url, path}, " "))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if limit > 0 {
		defer time.AfterFunc(limit, func() { cmd.Process.Kill() }).Stop()
	}
	for r := bufio.NewReader(out); ; {
		line, err := r.ReadString('\n')
		if err == io.EOF {
			break
		}
		if limit < 0 && len(accepted) == 0 {
			defer time.AfterFunc(-limit, func() { cmd.Process.Kill() }).Stop()
		}
		if err != nil {
			return nil, err
		}
		accepted = append(accepted, strings.TrimSuffix(line, "\n"))
	}
	if err = cmd.Wait(); limit != 0 && complaints.Len() == 0 {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &complaints)
	}
	return accepted, nil
}

// A process that is killed at any moment, also while it makes the file or takes
// over what the last one has left, loses nothing that Enqueue had accepted; and
// a server that drops the ids it has seen gets each exactly once, in order.
func TestKilledProcess(t *testing.T) {
	kills := 40
	if s := os.Getenv(killsEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		kills = n
	}
	c := &counter{received: map[string]int{}, applied: map[string]int{}, next: map[string]int{}}
	srv := httptest.NewServer(c)
	defer srv.Close()
	url := "ws" + strings.TrimPrefix(srv.URL, "http") + "/"
	dir := t.TempDir()
	var paths, accepted []string
	silent := 0
	for i := range kills {
		if i%10 == 0 {
			paths = append(paths, filepath.Join(dir, fmt.Sprint("spool", i)))
		}
		limit := -1 - time.Duration(rand.Int64N(int64(120*time.Millisecond)))
		if i%2 == 0 { // as the process starts
			limit = 5*time.Millisecond + time.Duration(rand.Int64N(int64(40*time.Millisecond)))
		}
		ids, err := life(fmt.Sprint("life", i), url, paths[len(paths)-1], limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) == 0 {
			silent++
		}
		accepted = append(accepted, ids...)
	}
	for _, path := range paths {
		if _, err := life("drain", url, path, 0); err != nil {
			t.Fatal(err)
		}
		wantContent(t, openAt(t, path, Options{}))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	lost, again := 0, 0
	for _, id := range accepted {
		if c.received[id] == 0 {
			if lost++; lost < 10 {
				t.Errorf("%s was accepted, and never came", id)
			}
		}
	}
	for id, n := range c.received {
		if n > 1 {
			again++
		}
		if c.applied[id] != 1 {
			t.Errorf("%s was applied %d times", id, c.applied[id])
		}
	}
	for _, e := range c.errors[:min(10, len(c.errors))] {
		t.Error(e)
	}
	t.Logf("%d kills, %d of them before anything was accepted, %d connections lost: %d messages accepted, %d came, "+
		"%d of them more than once, %d lost", kills, silent, c.dropped, len(accepted), len(c.received), again, lost)
	if len(accepted) == 0 || kills >= 40 && again == 0 {
		t.Error("nothing was at stake")
	}
}

// resume handles numbered messages until it is killed, and prints each number.
func resume(store *Spool, url string) error {
	client := wsnotify.New(wsnotify.Config{
		Heartbeat: wsnotify.Heartbeat{Interval: -1},
		BackOff:   wsnotify.Exponential(time.Millisecond, 50*time.Millisecond, -1),
		Resume: wsnotify.Resume{
			Position: wsnotify.PositionField("seq"), Query: "after", Order: wsnotify.PositionConsecutive,
			OnGap: func(g wsnotify.Gap) { fmt.Fprintln(os.Stderr, g) },
			Store: store.Positions(), SaveEvery: 10 * time.Millisecond,
		},
		OnNotification: func(n wsnotify.Notification) { os.Stdout.WriteString(n.Content + "\n") },
	})
	return client.Run(context.Background(), url, resumes)
}

// numbers is a server that sends numbered messages from where it is asked to,
// and loses connections.
func numbers(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	after, _ := strconv.Atoi(r.URL.Query().Get("after"))
	for n := max(after, 1); rand.IntN(2000) > 0; n++ { // inclusive
		text := fmt.Sprintf(`{"seq":%d,"msgType":"n","content":"%d"}`, n, n)
		if conn.Write(context.Background(), websocket.MessageText, []byte(text)) != nil {
			return
		}
	}
}

// A process that is killed at any moment misses nothing, and handles no more
// again than what it had handled after the last Save.
func TestKilledProcessResumes(t *testing.T) {
	kills := 40
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		kills = n
	}
	srv := httptest.NewServer(http.HandlerFunc(numbers))
	defer srv.Close()
	url := "ws" + strings.TrimPrefix(srv.URL, "http") + "/"
	path := filepath.Join(t.TempDir(), "spool")
	last, handled, again := 0, 0, 0
	for i := range kills {
		limit := -1 - time.Duration(rand.Int64N(int64(100*time.Millisecond)))
		if i%4 == 0 { // as the process starts
			limit = 5*time.Millisecond + time.Duration(rand.Int64N(int64(40*time.Millisecond)))
		}
		saved := savedPosition(t, path)
		if saved > last {
			t.Fatalf("%d was saved, and %d is the last that was handled", saved, last)
		}
		lines, err := life(resumes, url, path, limit)
		if err != nil {
			t.Fatal(err)
		}
		again += last - saved
		for i, line := range lines {
			if line != strconv.Itoa(saved+1+i) {
				t.Fatalf("message %d of a process that began behind %d is %s", i, saved, line)
			}
		}
		if len(lines) > 0 {
			handled, last = handled+len(lines), max(last, saved+len(lines))
		}
	}
	t.Logf("%d kills, %d messages handled, at most %d of them again, the last is %d", kills, handled, again, last)
	if handled == 0 || kills >= 40 && again == 0 {
		t.Error("nothing was at stake")
	}
}

func savedPosition(t *testing.T, path string) int {
	s := openAt(t, path, Options{})
	loaded, err := s.Positions().Load()
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(loaded[""])
	return n
}
