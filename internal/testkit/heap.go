package testkit

import "runtime"

// Grown returns by how many bytes the heap has grown over f.
func Grown(f func()) int64 {
	before := heap()
	f()
	return heap() - before
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
