package spool

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// What a message of 64 bytes costs that is stored and then removed, as the client
// does it: one Remove at a time for all that is done.
func BenchmarkAppend(b *testing.B) {
	for _, producers := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(producers), func(b *testing.B) {
			s, err := Open(filepath.Join(b.TempDir(), "spool"), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			m := wsnotify.Message{Type: wsnotify.MessageBinary, Data: make([]byte, 64)}
			done := make(chan uint64, 1<<16)
			removed := make(chan struct{})
			go func() {
				defer close(removed)
				for seq := range done {
					seqs := []uint64{seq}
					for len(done) > 0 {
						seqs = append(seqs, <-done)
					}
					if err := s.Remove(seqs...); err != nil {
						b.Error(err)
					}
				}
			}()
			var seq atomic.Uint64
			b.SetParallelism(producers / 2)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					n := seq.Add(1)
					if err := s.Append(n, m); err != nil {
						b.Error(err)
					}
					done <- n
				}
			})
			close(done)
			<-removed
			seconds := b.Elapsed().Seconds()
			b.ReportMetric(float64(b.N)/seconds, "messages/s")
			b.ReportMetric(float64(2*s.Stats().Commits)/seconds, "syncs/s")
		})
	}
}
