package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/pprof"
	"strconv"
	"time"
)

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

// measurement is a job under way in its client process.
type measurement struct {
	job
	lib     library
	calls   calls
	control *http.Client
}

// smokes reports whether a work is only tried: what takes seconds is cut short.
func (m *measurement) smokes() bool { return m.Time < 100*time.Millisecond }

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
	t := target{url: "ws://" + m.Endpoints.Plain + path}
	if m.Counted {
		t.calls = &m.calls
	}
	if overTLS {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(m.Endpoints.Cert) {
			return t, fmt.Errorf("the server's certificate is not PEM")
		}
		t.url, t.tls = "wss://"+m.Endpoints.TLS+path, &tls.Config{RootCAs: pool}
	}
	return t, nil
}

// command asks the server over its control connection.
func (m *measurement) command(path string, params url.Values) (io.ReadCloser, error) {
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

// ask is command for an answer that is a number, about this client's session.
func (m *measurement) ask(path string, params url.Values) (int64, error) {
	if params == nil {
		params = url.Values{}
	}
	params.Set("id", sessionID)
	body, err := m.command(path, params)
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
