package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// The program starts itself again with one of these arguments alone.
const (
	roleServer = "-serve"
	roleClient = "-client"
)

const (
	drainTime = 10 * time.Second // for what is under way when a measurement ends
	sessionID = "1"              // client processes run one after another
)

// childMain runs this process as a child, if it was started as one.
func childMain() (wasChild bool) {
	if len(os.Args) != 2 {
		return false
	}
	var err error
	switch os.Args[1] {
	case roleServer:
		err = serve()
	case roleClient:
		err = measure()
	default:
		return false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	return true
}

// serverProcess is the server as the first process sees it.
type serverProcess struct {
	endpoints
	cmd   *exec.Cmd
	stdin io.Closer
}

func startServer() (*serverProcess, error) {
	cmd, err := self(context.Background(), roleServer)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), "GODEBUG=http2xconnect=1") // or there are no WebSockets in net/http's HTTP/2
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &serverProcess{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &p.endpoints)
	}
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("the server did not start: %w", err)
	}
	return p, nil
}

// stop ends the server by the end of its stdin, and for certain by its handle.
func (p *serverProcess) stop() {
	p.stdin.Close()
	guard := time.AfterFunc(time.Second, func() { p.cmd.Process.Kill() })
	p.cmd.Wait()
	guard.Stop()
}

func self(ctx context.Context, role string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, role)
	cmd.Stderr = os.Stderr
	return cmd, nil
}

// job is what a client process is told to do.
type job struct {
	Work      string
	Lib       string
	Time      time.Duration
	Profile   string // where to write a CPU profile; empty for none
	Counted   bool   // the calls to the socket are counted
	Endpoints endpoints
}

// do has a fresh process do a job, so that memory, collections and CPU time
// are this measurement's own. It returns all the CPU time of that process, too.
func (j job) do() (r Result, cpu time.Duration, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute+20*j.Time)
	defer cancel()
	cmd, err := self(ctx, roleClient)
	if err != nil {
		return r, 0, err
	}
	in, err := json.Marshal(j)
	if err != nil {
		return r, 0, err
	}
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		return r, 0, fmt.Errorf("%s with %s: %w", j.Work, j.Lib, err)
	}
	cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return r, cpu, json.Unmarshal(out, &r)
}
