package deflate

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// notifications share the names of their fields, and vary in ids, users and
// numbers. There are so many that none comes again within a window.
func notifications(size int) (messages [][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	users := []string{"ada", "grace", "margaret", "barbara", "dennis", "edsger"}
	kinds := []string{"order.updated", "message.new", "presence", "price"}
	for total := 0; total < 1<<20; {
		var m []byte
		for len(m) < size {
			m = fmt.Appendf(m, `{"msgType":"%s","content":{"id":%d,"user":"%s","ts":%d,"amount":%d.%02d,"unread":%d}}`, kinds[r.IntN(len(kinds))],
				100_000_000+r.IntN(900_000_000), users[r.IntN(len(users))], 1_764_400_000_000+r.Int64N(100_000), r.IntN(1000), r.IntN(100), r.IntN(20))
		}
		messages = append(messages, m)
		total += len(m)
	}
	return messages
}

func BenchmarkDeflate(b *testing.B) {
	for _, size := range []int{100, 1000, 16_000} {
		messages := notifications(size)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			d := NewDeflater(32<<10, true)
			var out []byte
			total, i := 0, 0
			b.ReportAllocs()
			for b.Loop() {
				out = d.Deflate(out[:0], messages[i%len(messages)], true)
				total += len(out)
				i++
			}
			b.ReportMetric(float64(total)/float64(i), "bytes/message")
		})
	}
}

func BenchmarkInflate(b *testing.B) {
	for _, size := range []int{100, 1000, 16_000} {
		messages := notifications(size)
		d := NewDeflater(32<<10, true)
		for i, m := range messages {
			messages[i] = d.Deflate(nil, m, true)
		}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			f := NewInflater(32<<10, true)
			out := make([]byte, 0, 64<<10)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ { // the first refers to nothing
				var err error
				if out, err = f.Inflate(out[:0], messages[i%len(messages)], 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
