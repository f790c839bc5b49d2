package wsnotify

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Random calls of the registry, compared with the plainest one there can be.
func TestRegistryOfRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(rand.Uint64(), 8))
	for round := range 8 {
		var rs requests
		waits := map[string]chan Message{}
		expected := map[string]bool{} // of late: an answer may come
		var late []string
		ids := 1 + rnd.IntN(3*maxAbandoned)
		if round == 0 { // more of them give up than are remembered
			ids = 4 * maxAbandoned
		}
		for step := range 4 * ids {
			id := fmt.Sprint(rnd.IntN(ids))
			msg := Message{Type: MessageText, Data: []byte(`{"id":"` + id + `"}`), Epoch: uint64(step)}
			w := waits[id]
			_, isLate := expected[id]
			switch op := rnd.IntN(8); {
			case op < 4:
				got, err := rs.begin(id)
				if (err == nil) == (w != nil || isLate) {
					t.Fatalf("begin: %v; waited for %v, late %v", err, w != nil, isLate)
				}
				if err == nil {
					waits[id] = got
				}
			case op == 4:
				want := w != nil || expected[id]
				if got := rs.match(storeID, msg, false); got != want {
					t.Fatalf("match: %v; waited for %v, late %v", got, w != nil, expected[id])
				}
				if isLate {
					expected[id] = false
				}
				if w != nil {
					delete(waits, id)
					// Whoever gives up now gets the answer, or leaves another's wait alone.
					if rnd.IntN(2) == 0 {
						if got, ok := rs.giveUp(id, w); !ok || got.Epoch != msg.Epoch {
							t.Fatalf("the answer was lost: %v", got)
						}
					} else {
						rs.forget(id, w)
					}
				}
			case w == nil:
			case op == 5:
				rs.forget(id, w)
				delete(waits, id)
			default:
				if _, ok := rs.giveUp(id, w); ok {
					t.Fatal("an answer that never came")
				}
				delete(waits, id)
				expected[id] = true
				if late = append(late, id); len(late) > maxAbandoned {
					delete(expected, late[0])
					late = late[1:]
				}
			}
		}
		live := len(waits)
		for _, id := range late {
			if expected[id] {
				live++
			}
		}
		if got := int(rs.live.Load()); got != live {
			t.Fatalf("%d are live, and not %d", got, live)
		}
		if len(rs.waiting) != len(waits) || len(rs.abandoned) != len(late) || len(rs.order) > maxAbandoned {
			t.Fatalf("%d wait, %d are abandoned", len(rs.waiting), len(rs.abandoned))
		}
		for id := range rs.abandoned {
			if _, isLate := expected[id]; !isLate {
				t.Fatalf("%s is late", id)
			}
		}
	}
}
