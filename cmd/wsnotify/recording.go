package main

import (
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"
	"github.com/wsnotify/wsnotify"
)

// recording holds the flags of those who record what they see.
type recording struct {
	path    string
	secrets bool
	pings   bool
}

func (o *recording) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.path, "record", "", "`file` to record the connections in, for serve --replay and for tests")
	f.BoolVar(&o.pings, "record-pings", false, "with --record, record ping and pong frames, too")
	f.BoolVar(&o.secrets, "keep-secrets", false, "with --record, record passwords, tokens and headers as they are")
	cmd.MarkFlagFilename("record")
}

// begin has the client of cfg recorded. What it returns is called when that client is done, and returns why
// the recording is not complete, or the error that it is given.
func (o *recording) begin(cfg *wsnotify.Config) (end func(error) error, err error) {
	if o.path == "" {
		if o.secrets || o.pings {
			return nil, usage("--keep-secrets and --record-pings are of use with --record alone")
		}
		return func(err error) error { return err }, nil
	}
	file, err := os.OpenFile(o.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--record: %w", err)
	}
	w := &recorder{file: file}
	cfg.Record, cfg.RecordSecrets, cfg.RecordPings = w, o.secrets, o.pings
	return func(err error) error {
		if problem := w.close(); problem != nil && err == nil {
			return fmt.Errorf("--record: %w; the recording is not complete", problem)
		}
		return err
	}, nil
}

// recorder is a file that remembers what went wrong.
type recorder struct {
	mu   sync.Mutex
	file *os.File
	err  error
}

func (r *recorder) Write(p []byte) (int, error) {
	n, err := r.file.Write(p)
	if err != nil {
		r.mu.Lock()
		r.err = err
		r.mu.Unlock()
	}
	return n, err
}

func (r *recorder) close() error {
	err := r.file.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	return err
}
