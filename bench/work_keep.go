package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
)

// idSize is how many bytes of a message are its id.
const idSize = 8

// keep sends messages that the server confirms; with the name of a file, they
// are kept in that meanwhile.
func keep(goroutines int, file string) func(*measurement) (Result, error) {
	return func(m *measurement) (result Result, err error) {
		t, err := m.target(fmt.Sprintf("/confirm?id=%s&size=64", sessionID), false)
		if err != nil {
			return Result{}, err
		}
		box := wsnotify.Outbox{Messages: 1 << 13, ConfirmID: func(m wsnotify.Message) string { return string(m.Data[:idSize]) }}
		commits := func() uint64 { return 0 }
		if file != "" {
			dir, err := os.MkdirTemp("", "bench")
			if err != nil {
				return Result{}, err
			}
			defer os.RemoveAll(dir)
			store, err := spool.Open(filepath.Join(dir, file), spool.Options{})
			if err != nil {
				return Result{}, err
			}
			defer store.Close()
			box.Store = store
			commits = func() uint64 { return store.Stats().Commits }
		}
		var c wsnotifyClient
		c.c = wsnotify.New(wsnotify.Config{
			HTTPClient: httpClient(t),
			Inbox:      wsnotify.Inbox{Reuse: true},
			Outbox:     box,
			OnMessage:  func(m wsnotify.Message) { c.c.Confirm(string(m.Data)) },
		})
		ctx, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		if err := c.c.Connect(ctx, t.url, ""); err != nil {
			return Result{}, err
		}
		defer c.close()
		var ids atomic.Uint64
		call := func(p []byte) error {
			binary.BigEndian.PutUint64(p, ids.Add(1))
			return c.enqueue(p)
		}
		var began time.Time
		var before uint64
		result, err = m.count(&load{size: 64, goroutines: goroutines, call: call, flush: func() error {
			if began.IsZero() { // of the warm-up
				err := c.flush()
				began, before = time.Now(), commits()
				return err
			}
			return c.flush()
		}})
		result.Syncs = 2 * float64(commits()-before) / time.Since(began).Seconds()
		return result, err
	}
}

// syncAlone is what a disk can do: bbolt syncs twice a commit.
func syncAlone(m *measurement) (result Result, err error) {
	f, err := os.CreateTemp("", "bench")
	if err != nil {
		return Result{}, err
	}
	defer os.Remove(f.Name())
	defer func() { err = cmp.Or(err, f.Close()) }()
	const pages = 256
	page := make([]byte, 4096)
	if err := errors.Join(f.Truncate(int64(pages*len(page))), f.Sync()); err != nil {
		return Result{}, err
	}
	mt, err := m.meter()
	if err != nil {
		return Result{}, err
	}
	n := int64(0)
	for began := time.Now(); time.Since(began) < m.Time; n++ {
		_, err := f.WriteAt(page, n%pages*int64(len(page)))
		if err := errors.Join(err, dataSync(f)); err != nil {
			return Result{}, err
		}
	}
	result = m.finish(mt, func() int64 { return n })
	result.Syncs = result.Rate
	return result, nil
}
