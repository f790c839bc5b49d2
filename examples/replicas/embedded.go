package main

import (
	"errors"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// embedded is a NATS server in this process, with its files in a folder that goes
// with it.
func embedded() (url string, shutdown func(), err error) {
	dir, err := os.MkdirTemp("", "replicas")
	if err != nil {
		return "", nil, err
	}
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir,
		NoLog: true, NoSigs: true,
	})
	if err != nil {
		os.RemoveAll(dir)
		return "", nil, err
	}
	shutdown = func() {
		srv.Shutdown()
		srv.WaitForShutdown()
		os.RemoveAll(dir)
	}
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		shutdown()
		return "", nil, errors.New("the embedded NATS server did not start within 10 s")
	}
	return srv.ClientURL(), shutdown, nil
}
