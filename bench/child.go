package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime/pprof"
	"strconv"
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
	Endpoints endpoints
}

// do has a fresh process do a job, so that memory, collections and CPU time
// are this measurement's own.
func (j job) do() (Result, error) {
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

// measure is the main function of a client process.
func measure() error {
	m := &measurement{control: &http.Client{Timeout: 2 * drainTime}}
	if err := json.NewDecoder(os.Stdin).Decode(&m.job); err != nil {
		return err
	}
	w, lib := workNamed(m.Work), libraryNamed(m.Lib)
	if w == nil || lib == nil {
		return fmt.Errorf("no work %q with %q", m.Work, m.Lib)
	}
	m.lib = *lib
	result, err := w.run(m)
	if err != nil {
		return err
	}
	result.Work, result.Lib = m.Work, m.Lib
	return json.NewEncoder(os.Stdout).Encode(result)
}

func libraryNamed(name string) *library {
	for i := range libraries {
		if libraries[i].name == name {
			return &libraries[i]
		}
	}
	return nil
}

// measurement is a job under way in its client process.
type measurement struct {
	job
	lib     library
	calls   calls
	control *http.Client
}

// meter begins to measure. A profile covers what is measured and no more.
func (m *measurement) meter() (*meter, error) {
	if m.Profile != "" {
		f, err := os.Create(m.Profile)
		if err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, err
		}
	}
	mt := &meter{calls: &m.calls}
	mt.start()
	return mt, nil
}

// finish ends what meter began.
func (m *measurement) finish(mt *meter, messages func() int64) Result {
	r := mt.stop(messages)
	pprof.StopCPUProfile()
	return r
}

// heapProfile takes the place of the CPU profile where memory is measured.
func (m *measurement) heapProfile() error {
	if m.Profile == "" {
		return nil
	}
	f, err := os.Create(m.Profile)
	if err != nil {
		return err
	}
	defer f.Close()
	return pprof.Lookup("heap").WriteTo(f, 0)
}

// target is a path of the server, with its parameters.
func (m *measurement) target(path string, overTLS bool) (target, error) {
	t := target{url: "ws://" + m.Endpoints.Plain + path, calls: &m.calls}
	if overTLS {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(m.Endpoints.Cert) {
			return t, fmt.Errorf("the server's certificate is not PEM")
		}
		t.url, t.tls = "wss://"+m.Endpoints.TLS+path, &tls.Config{RootCAs: pool}
	}
	return t, nil
}

// tell asks the server over its control connection.
func (m *measurement) tell(path string, params url.Values) (io.ReadCloser, error) {
	resp, err := m.control.Get("http://" + m.Endpoints.Plain + path + "?" + params.Encode())
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return resp.Body, nil
}

// ask is tell for an answer that is a number, about this client's session.
func (m *measurement) ask(path string, params url.Values) (int64, error) {
	if params == nil {
		params = url.Values{}
	}
	params.Set("id", sessionID)
	body, err := m.tell(path, params)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// plain is a target with the library's own dialer.
func (m *measurement) plain(path string) target {
	return target{url: "ws://" + m.Endpoints.Plain + path}
}
