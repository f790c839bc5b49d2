package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// roleEnv tells a process that the script has started what it is.
const roleEnv = "WSNOTIFY_AGENT_ROLE"

func play(ctx context.Context, role string, args []string, path string, every time.Duration) error {
	if role == "server" {
		return serve(args[0], path)
	}
	ctx, stop := context.WithCancel(ctx)
	go func() {
		io.Copy(io.Discard, os.Stdin) // until the script wants the agent to end, or is gone
		stop()
	}()
	return run(ctx, args[0], path, every, os.Stdout)
}

// stage is where the script is played.
type stage struct {
	ctx           context.Context
	spool, book   string
	every         time.Duration
	addr          string // of the server, once it was up
	agent, server *process

	commanded []string // the ids of what the agents were commanded to measure

	mu   sync.Mutex
	kept []string      // the ids of what the agents have measured
	more chan struct{} // closed when that grows
}

type process struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner
	read  chan struct{} // closed when there are no more lines to come
}

// script kills agents and servers, and finds out what has arrived.
func script(ctx context.Context, every time.Duration, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second+60*every) // whatever happens
	defer cancel()
	s := &stage{
		ctx: ctx, every: every, addr: "127.0.0.1:0", more: make(chan struct{}),
		spool: filepath.Join(dir, "spool"), book: filepath.Join(dir, "journal"),
	}
	defer func() {
		for _, p := range []*process{s.agent, s.server} {
			if p != nil {
				p.kill()
			}
		}
	}()
	measure := func() error { return s.measure(4) }
	command := func() error { return s.command(3) }
	loseConnection := func() error { _, err := io.WriteString(s.server.in, "drop\n"); return err }
	killServer := func() error { s.server.kill(); return nil }
	killAgent := func() error { s.agent.kill(); return nil }
	for _, step := range []struct {
		says string
		does []func() error
	}{
		{"an agent measures, by itself and on command, and a server confirms", []func() error{s.startServer, s.startAgent, command, measure}},
		{"the server loses the connection", []func() error{command, loseConnection, command, measure}},
		{"the server is killed, and the agent goes on measuring", []func() error{command, killServer, measure}},
		{"the server is back", []func() error{s.startServer, command, s.carryOut, measure, s.once}},
		{"the agent is killed, misses commands, and starts again", []func() error{command, killAgent, command, s.startAgent, measure}},
		{"both are killed; the agent is back before the server is", []func() error{command, killServer, measure, killAgent, s.startAgent, measure}},
		{"the server is back", []func() error{s.startServer, command, s.carryOut}},
		{"the agent ends", []func() error{s.agentEnds}},
	} {
		fmt.Fprintln(out, step.says)
		for _, do := range step.does {
			if err := do(); err != nil {
				return err
			}
		}
	}
	return s.compare(out)
}

func (s *stage) start(role, path string, args ...string) (*process, error) {
	cmd := exec.CommandContext(s.ctx, os.Args[0], append([]string{"-spool", path, "-every", s.every.String()}, args...)...)
	cmd.Env = append(os.Environ(), roleEnv+"="+role)
	cmd.Stderr = io.Discard // full of refused connections
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &process{cmd, in, bufio.NewScanner(out), make(chan struct{})}, cmd.Start()
}

func (s *stage) startServer() (err error) {
	if s.server, err = s.start("server", s.book, s.addr); err != nil {
		return err
	}
	close(s.server.read) // only start and command read
	if !s.server.lines.Scan() {
		return errors.New("the server has not come up")
	}
	s.addr = s.server.lines.Text()
	return nil
}

func (s *stage) startAgent() (err error) {
	if s.agent, err = s.start("agent", s.spool, "ws://"+s.addr+"/"); err != nil {
		return err
	}
	p := s.agent
	go func() {
		defer close(p.read)
		for p.lines.Scan() {
			s.mu.Lock()
			s.kept = append(s.kept, p.lines.Text())
			close(s.more)
			s.more = make(chan struct{})
			s.mu.Unlock()
		}
	}()
	return nil
}

// kill ends a process as kill -9 does.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.read
	p.cmd.Wait()
}

// command has the server command n measurements, which it has kept then.
func (s *stage) command(n int) error {
	for range n {
		id := fmt.Sprintf("commanded-%d", len(s.commanded)+1)
		if _, err := fmt.Fprintln(s.server.in, id); err != nil {
			return err
		}
		if !s.server.lines.Scan() || s.server.lines.Text() != id {
			return fmt.Errorf("the server has not kept command %s", id)
		}
		s.commanded = append(s.commanded, id)
	}
	return nil
}

// measure waits until the agent has kept n more.
func (s *stage) measure(n int) error {
	s.mu.Lock()
	want := len(s.kept) + n
	s.mu.Unlock()
	return s.await(func() error {
		if have := len(s.kept); have < want {
			return fmt.Errorf("the agent has measured %d times of %d", have, want)
		}
		return nil
	})
}

// carryOut waits until the agent has carried out all commands.
func (s *stage) carryOut() error {
	return s.await(func() error {
		for _, id := range s.commanded {
			if !slices.Contains(s.kept, id) {
				return fmt.Errorf("the agent has not carried out %s", id)
			}
		}
		return nil
	})
}

// once checks that an agent that was not killed has carried out no command twice.
func (s *stage) once() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := map[string]bool{}
	for _, id := range s.kept {
		if seen[id] {
			return fmt.Errorf("the agent has carried out %s twice", id)
		}
		seen[id] = true
	}
	return nil
}

// await waits until what the agents have kept has no error any more.
func (s *stage) await(check func() error) error {
	for {
		s.mu.Lock()
		err, more := check(), s.more
		s.mu.Unlock()
		if err == nil {
			return nil
		}
		select {
		case <-more:
		case <-s.ctx.Done():
			return fmt.Errorf("%w: %w", err, s.ctx.Err())
		}
	}
}

// agentEnds has the agent send what is left, and end.
func (s *stage) agentEnds() error {
	s.agent.in.Close()
	<-s.agent.read
	return s.agent.cmd.Wait()
}

// compare says whether what was kept is what has arrived.
func (s *stage) compare(out io.Writer) error {
	ids, err := readJournal(s.book)
	if err != nil {
		return err
	}
	times := map[string]int{}
	for _, id := range ids {
		if times[id]++; times[id] > 1 {
			return fmt.Errorf("measurement %s was counted %d times", id, times[id])
		}
	}
	for _, id := range s.kept {
		if times[id] == 0 {
			return fmt.Errorf("measurement %s has not arrived", id)
		}
	}
	fmt.Fprintln(out, "each measurement arrived, and was counted once")
	for _, id := range s.commanded {
		if times[id] == 0 {
			return fmt.Errorf("command %s was not carried out", id)
		}
	}
	fmt.Fprintln(out, "each command was carried out")
	return nil
}
