package soak

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/internal/harness"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// Numbered messages through drops, half-open links and processes that end: none is missed, none comes out
// of order, and none comes twice. WSNOTIFY_SOAK_MESSAGES says how many there are.
func TestNumberedMessages(t *testing.T) {
	messages, err := strconv.Atoi(os.Getenv("WSNOTIFY_SOAK_MESSAGES"))
	if err != nil {
		messages = 20_000
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		network := wsnotifytest.NewNetwork(t)
		network.AllowOpenConns() // half-open links stay behind
		srv := network.NewServer()
		srv.RecordMessages(false)
		var drops, halfOpen atomic.Int64
		srv.OnConn(func(c *wsnotifytest.Conn) {
			random := rand.New(rand.NewPCG(32, uint64(c.ID())))
			after, _ := strconv.Atoi(c.Request().URL.Query().Get("after"))
			after = max(after-random.IntN(2), 0) // inclusive or not, as servers do
			for n := after + 1; n <= messages; n++ {
				if c.SendText(fmt.Sprintf(`{"seq":%d,"msgType":"n","content":"%[1]d"}`, n)) != nil {
					return
				}
				switch random.IntN(2000) {
				case 0:
					drops.Add(1)
					c.Drop()
					return
				case 1:
					halfOpen.Add(1)
					c.BlackHole(true)
					return
				case 2:
					time.Sleep(20 * time.Millisecond)
				}
			}
		})
		carried, end := harness.Carried(network.HTTPClient())
		defer end()
		store := &positions{}
		next, duplicates, gaps, processes := 1, uint64(0), uint64(0), 0
		for next <= messages && !t.Failed() {
			processes++
			end := make(chan bool, 1)
			last := min(next+messages/10, messages) // of this process
			c := wsnotify.New(wsnotify.Config{
				HTTPClient: carried,
				BackOff:    wsnotify.Exponential(time.Millisecond, 100*time.Millisecond, -1),
				Resume: wsnotify.Resume{
					Position: wsnotify.PositionField("seq"), Query: "after", Order: wsnotify.PositionConsecutive, Store: store,
				},
				OnNotification: func(n wsnotify.Notification) {
					if n.Content != strconv.Itoa(next) {
						t.Errorf("message %s came, not %d", n.Content, next)
					}
					if next++; next > last {
						select {
						case end <- true:
						default:
						}
					}
				},
				OnError: func(err error) {
					if behind, ok := err.(*wsnotify.ResumeError); ok {
						t.Error(behind)
					}
				},
			})
			if err := c.Connect(t.Context(), srv.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			<-end
			c.Disconnect()
			<-c.Done()
			s := c.Status()
			duplicates, gaps = duplicates+s.Duplicates, gaps+s.Gaps
		}
		synctest.Wait()
		if next != messages+1 || gaps != 0 {
			t.Errorf("%d messages were handled, with %d gaps", next-1, gaps)
		}
		t.Logf("%d messages: %d drops, %d half-open links, %d processes, %d saves; %d duplicates were dropped, %d gaps",
			messages, drops.Load(), halfOpen.Load(), processes, store.saves, duplicates, gaps)
	})
	t.Logf("it took %v", time.Since(began))
}

// positions is a store in memory that outlives a client.
type positions struct {
	at    map[string]string
	saves int
}

func (p *positions) Load() (map[string]string, error) { return p.at, nil }

func (p *positions) Save(changed map[string]string) error {
	p.saves++
	p.at = map[string]string{"": changed[""]}
	return nil
}
