package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/wsnotify/wsnotify"
	"go.etcd.io/bbolt"
)

func text(s string) wsnotify.Message {
	return wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(s)}
}

func openAt(t *testing.T, path string, o Options) *Spool {
	t.Helper()
	s, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func content(t *testing.T, s *Spool) (all []string) {
	t.Helper()
	err := s.Load(func(seq uint64, m wsnotify.Message) error {
		all = append(all, fmt.Sprintf("%d %v %s", seq, m.Type, m.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func wantContent(t *testing.T, s *Spool, want ...string) {
	t.Helper()
	if got := content(t, s); !slices.Equal(got, want) {
		t.Errorf("it has %q, expected %q", got, want)
	}
}

func appendAll(t *testing.T, s *Spool, seqs ...uint64) {
	t.Helper()
	for _, seq := range seqs {
		if err := s.Append(seq, text(fmt.Sprint("m", seq))); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMessagesAreThereAfterReopening(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 3, 1, 300, 2)
	if err := s.Append(70000, wsnotify.Message{Type: wsnotify.MessageBinary}); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(2, 0, 999, 2); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().Bytes
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Options{})
	wantContent(t, s, "1 MessageText m1", "3 MessageText m3", "300 MessageText m300", "70000 MessageBinary ")
	if after := s.Stats().Bytes; after != before || after != 4*overhead+2+2+4 {
		t.Errorf("they take %d bytes, and %d after reopening", before, after)
	}
	if err := s.Remove(1, 3, 300, 70000); err != nil {
		t.Fatal(err)
	}
	wantContent(t, s)
	if n := s.Stats().Bytes; n != 0 {
		t.Errorf("an empty spool takes %d bytes", n)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("others may read the file: %v, %v", info.Mode(), err)
	}
}

// Load hands over more than it reads at once, and yield may use the Spool.
func TestLoadIsInOrderAndHoldsNoLock(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
	const n = 3*loadMessages + 1
	var all sync.WaitGroup
	for i := range uint64(n) {
		all.Go(func() {
			if err := s.Append(i+1, text("x")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	next := uint64(1)
	err := s.Load(func(seq uint64, m wsnotify.Message) error {
		if seq != next {
			return fmt.Errorf("expected %d, got %d", next, seq)
		}
		next++
		m.Data[0] = 'y' // it is ours
		if seq%500 == 0 {
			return s.Remove(seq)
		}
		return nil
	})
	if err != nil || next != n+1 {
		t.Errorf("%d messages, %v", next-1, err)
	}
	stop := errors.New("enough")
	if err := s.Load(func(uint64, wsnotify.Message) error { return stop }); err != stop {
		t.Errorf("expected the error of yield, got %v", err)
	}
	if commits := s.Stats().Commits; commits > n/3 {
		t.Errorf("%d appends at the same time took %d commits", n, commits)
	}
}

func TestDataIsTheCallersAgain(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
	data := []byte("before")
	if err := s.Append(1, wsnotify.Message{Type: wsnotify.MessageText, Data: data}); err != nil {
		t.Fatal(err)
	}
	copy(data, "after!")
	wantContent(t, s, "1 MessageText before")
}

func TestBoundOfSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{MaxBytes: 3 * (overhead + 2)})
	appendAll(t, s, 1, 2, 3)
	if err := s.Append(4, text("m4")); !errors.Is(err, ErrFull) {
		t.Errorf("expected ErrFull, got %v", err)
	}
	var tooLarge *wsnotify.MessageTooLargeError
	if err := s.Append(4, text(strings.Repeat("m", 2*overhead+7))); !errors.As(err, &tooLarge) || tooLarge.Limit != 2*overhead+6 {
		t.Errorf("expected a MessageTooLargeError, got %v", err)
	}
	s.Close()
	s = openAt(t, path, Options{MaxBytes: 3 * (overhead + 2)})
	if err := s.Append(4, text("m4")); !errors.Is(err, ErrFull) {
		t.Errorf("after reopening: expected ErrFull, got %v", err)
	}
	if err := s.Remove(2); err != nil {
		t.Fatal(err)
	}
	appendAll(t, s, 4)
	wantContent(t, s, "1 MessageText m1", "3 MessageText m3", "4 MessageText m4")
	appendAll(t, openAt(t, filepath.Join(t.TempDir(), "spool"), Options{MaxBytes: -1}), 1, 2, 3, 4)
}

// The file stays within what the docs say, whatever comes and goes.
func TestFileIsBounded(t *testing.T) {
	const most = 2 << 20
	for _, large := range []int{1000, 5000, 500_000} {
		path := filepath.Join(t.TempDir(), "spool")
		s := openAt(t, path, Options{MaxBytes: most})
		rnd := rand.New(rand.NewPCG(1, uint64(large)))
		var live []uint64
		seq := uint64(0)
		for full := 0; full < 8; {
			messages := map[uint64]wsnotify.Message{}
			for range 1 + rnd.IntN(2*most/large/5+1) {
				seq++
				messages[seq] = text(strings.Repeat("x", rnd.IntN(large)))
			}
			var all sync.WaitGroup
			var mu sync.Mutex
			isFull := false
			for seq, m := range messages {
				all.Go(func() {
					err := s.Append(seq, m)
					mu.Lock()
					defer mu.Unlock()
					if isFull = isFull || err != nil; err == nil {
						live = append(live, seq)
					} else if !errors.Is(err, ErrFull) {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if !isFull {
				continue
			}
			full++
			if rnd.IntN(2) == 0 { // in any order, or as a server confirms
				rnd.Shuffle(len(live), func(i, j int) { live[i], live[j] = live[j], live[i] })
			} else {
				slices.Sort(live)
			}
			n := 1 + rnd.IntN(len(live))
			if err := s.Remove(live[:n]...); err != nil {
				t.Fatal(err)
			}
			live = live[n:]
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("messages up to %d bytes: the file has %.2f of the bound", large, float64(info.Size())/most)
		bound := int64(3*most + 1<<20)
		if runtime.GOOS == "windows" { // where the file is as large as its map, a power of two
			bound = 8 << 20
		}
		if info.Size() > bound {
			t.Errorf("messages up to %d bytes: the file has %d bytes, and the bound is %d", large, info.Size(), most)
		}
	}
}

func TestClosedSpool(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1)
	stored := make([]bool, 100)
	var all sync.WaitGroup
	for i := range stored {
		all.Go(func() {
			switch err := s.Append(uint64(i+2), text("x")); {
			case err == nil:
				stored[i] = true
			case !errors.Is(err, ErrClosed):
				t.Error(err)
			}
		})
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
	for what, err := range map[string]error{
		"Append": s.Append(1000, text("")), "Remove": s.Remove(1),
		"Load": s.Load(func(uint64, wsnotify.Message) error { return nil }),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: expected ErrClosed, got %v", what, err)
		}
	}
	want := 1
	for _, k := range stored {
		if k {
			want++
		}
	}
	if got := content(t, openAt(t, path, Options{})); len(got) != want {
		t.Errorf("%d messages were accepted, and %d are there", want, len(got))
	}
}

// A commit that fails before its meta page is written leaves all as it was;
// one that fails behind that leaves it open, and ends the Spool.
func TestFailedCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1)
	broken := errors.New("input/output error")
	s.update = func(db *bbolt.DB, f func(*bbolt.Tx) error) error {
		return db.Update(func(tx *bbolt.Tx) error { return errors.Join(f(tx), broken) })
	}
	if err := s.Append(2, text("m2")); !errors.Is(err, broken) || errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
	if n := s.Stats().Bytes; n != overhead+2 {
		t.Errorf("%d bytes are counted", n)
	}
	s.update = (*bbolt.DB).Update
	appendAll(t, s, 3)
	wantContent(t, s, "1 MessageText m1", "3 MessageText m3")

	s.update = func(db *bbolt.DB, f func(*bbolt.Tx) error) error { return errors.Join(db.Update(f), broken) }
	if err := s.Append(4, text("m4")); !errors.Is(err, ErrFailed) || !errors.Is(err, broken) {
		t.Errorf("expected ErrFailed, got %v", err)
	}
	s.update = (*bbolt.DB).Update
	if err := s.Append(5, text("m5")); !errors.Is(err, ErrFailed) {
		t.Errorf("expected ErrFailed again, got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantContent(t, openAt(t, path, Options{}), "1 MessageText m1", "3 MessageText m3", "4 MessageText m4")
}

// A number that is in use, against the contract, stands for the later message, and the earlier one takes no space.
// The last number there is is one like any other.
func TestNumbersOfMessages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, math.MaxUint64, 1)
	if err := s.Append(1, text("a longer one")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = openAt(t, path, Options{})
	wantContent(t, s, "1 MessageText a longer one", "18446744073709551615 MessageText m18446744073709551615")
	if n := s.Stats().Bytes; n != 2*overhead+12+21 {
		t.Errorf("they take %d bytes", n)
	}
}

// Close waits for the commit that is under way, and who waits for the next one gets ErrClosed.
func TestCloseWaitsForACommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	begun, gate := make(chan bool), make(chan bool)
	s.update = func(db *bbolt.DB, f func(*bbolt.Tx) error) error {
		close(begun)
		<-gate
		return db.Update(f)
	}
	first, second, closed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { first <- s.Append(1, text("m1")) }()
	<-begun
	go func() { second <- s.Append(2, text("m2")) }()
	until := func(f func() bool) {
		for done := false; !done; runtime.Gosched() {
			s.mu.Lock()
			done = f()
			s.mu.Unlock()
		}
	}
	until(func() bool { return s.next != nil && len(s.next.puts) == 1 })
	go func() { closed <- s.Close() }()
	until(func() bool { return s.closed })
	for range 1000 {
		runtime.Gosched()
	}
	if len(closed) > 0 {
		t.Error("Close did not wait")
	}
	close(gate)
	if err := <-first; err != nil {
		t.Errorf("the commit under way: %v", err)
	}
	if err := <-second; !errors.Is(err, ErrClosed) || err.Error() != "spool: closed: "+path {
		t.Errorf("the next one: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if s.Stats() != (Stats{Bytes: overhead + 2, Commits: 1}) {
		t.Errorf("%+v", s.Stats())
	}
	wantContent(t, openAt(t, path, Options{}), "1 MessageText m1")
}

// Where removals and appends have failed together, each is tried by itself.
func TestAppendsAreTriedWithoutRemovals(t *testing.T) {
	for _, test := range []struct {
		failing      int // updates
		freed        int64
		commits      uint64
		removed, put bool
	}{{1, overhead + 2, 2, true, true}, {2, 0, 0, false, false}} {
		s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
		appendAll(t, s, 1)
		s.update = func(db *bbolt.DB, f func(*bbolt.Tx) error) error {
			if test.failing--; test.failing >= 0 {
				return errBroken
			}
			return db.Update(f)
		}
		g := &group{puts: []put{{2, make([]byte, header), overhead}}, removals: []uint64{1}}
		freed, commits := s.commit(g)
		if freed != test.freed || commits != test.commits || g.removeErr == nil != test.removed || g.putErr == nil != test.put {
			t.Errorf("removals: %v, appends: %v, freed %d, %d commits", g.removeErr, g.putErr, freed, commits)
		}
	}
}

// Where there is no space for what is to be appended, what shares the commit and
// makes space is removed all the same.
func TestRemovalsDontFailWithAppends(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "spool"), Options{})
	appendAll(t, s, 1, 2)
	noSpace := errors.New("no space")
	s.update = func(db *bbolt.DB, f func(*bbolt.Tx) error) error {
		return db.Update(func(tx *bbolt.Tx) error {
			before := tx.Bucket(bucket).Sequence()
			err := f(tx)
			if tx.Bucket(bucket).Get(key(3)) != nil || tx.Bucket(bucket).Sequence() > before {
				return noSpace
			}
			return err
		})
	}
	g := &group{puts: []put{{3, make([]byte, header), overhead}}, removals: []uint64{2, 1}}
	freed, commits := s.commit(g)
	if g.removeErr != nil || !errors.Is(g.putErr, noSpace) || freed != 2*(overhead+2) || commits != 1 {
		t.Errorf("removals: %v, appends: %v, freed %d, %d commits", g.removeErr, g.putErr, freed, commits)
	}
	wantContent(t, s)
}

func TestOtherBytesAreNoticed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "spool")
	s := openAt(t, path, Options{})
	appendAll(t, s, 1, 2, 3)
	s.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte("m2"), []byte("mm")), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, Options{})
	var got []uint64
	err = s.Load(func(seq uint64, _ wsnotify.Message) error { got = append(got, seq); return nil })
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "message 2 ") || !slices.Equal(got, []uint64{1}) {
		t.Errorf("got %d, %v", got, err)
	}
}
