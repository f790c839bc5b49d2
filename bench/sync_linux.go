package main

import (
	"os"
	"syscall"
)

// dataSync is the call that bbolt makes.
func dataSync(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) }
