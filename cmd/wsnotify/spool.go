package main

import (
	"errors"
	"fmt"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/spool"
)

// keep has g keep what is not confirmed in a file, over the end of the program.
func (g *outgoing) keep(cfg *wsnotify.Config, path string) (*spool.Spool, error) {
	store, err := spool.Open(path, spool.Options{})
	if err != nil {
		return nil, err
	}
	cfg.Outbox.Store = store
	cfg.Outbox.Messages, cfg.Outbox.Bytes = -1, -1 // the file has a bound of its own
	g.file = path
	return store, nil
}

// kept adds to how the program ends what is left in the file.
func (g *outgoing) kept(err error) error {
	n := g.client.Status().Queued
	if g.file == "" || n == 0 {
		return err
	}
	text := fmt.Sprintf("not confirmed, and kept in %s for the next start: %s", g.file, messages(n))
	var f *failure
	switch {
	case err == nil:
		return errors.New(text)
	case !errors.As(err, &f):
		f = &failure{code: exitFailure, err: err}
	}
	f.details = append(f.details, text)
	return f
}
