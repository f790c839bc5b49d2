package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/wsnotify/wsnotify/internal/extension"
)

// session is one WebSocket connection at the server.
type session struct {
	conn net.Conn
	r    *bufio.Reader

	agreed  *extension.Params // nil: nothing is compressed
	counted atomic.Int64      // messages of the size that the work sends
	first   int               // bytes of a data frame that are looked at; 0: all
	pause   func() error      // called before each read; nil if there is nothing to do then

	ready chan struct{} // closed when a blast can begin
	begin chan struct{} // closed to let it
	halt  atomic.Bool   // ends it
	ended chan struct{} // closed when sent and err are valid
	sent  int64
	err   error
}

func newSession(conn net.Conn, r *bufio.Reader) *session {
	return &session{conn: conn, r: r, ready: make(chan struct{}), begin: make(chan struct{}), ended: make(chan struct{})}
}

// sink counts the messages of a size. Others, such as heartbeats, don't count.
func (s *session) sink(r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	s.serve(256<<10, size, nil)
}

// quiet is for connections on which little happens, of which there are many.
func (s *session) quiet(*http.Request) { s.serve(256, 0, nil) }

// echo returns every message as it came.
func (s *session) echo(r *http.Request) {
	var out []byte
	s.serve(16<<10, 0, func(f frame, payload []byte) error {
		out = appendFrame(out[:0], f.opcode, payload)
		_, err := s.conn.Write(out)
		return err
	})
}

// confirm counts as sink does, and answers each message with its first bytes,
// which are its id. Answers leave together, when there is nothing to read.
func (s *session) confirm(r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	var out []byte
	s.pause = func() error {
		if len(out) == 0 {
			return nil
		}
		_, err := s.conn.Write(out)
		out = out[:0]
		return err
	}
	s.first = idSize
	s.serve(256<<10, size, func(f frame, id []byte) error {
		if f.length != size {
			return nil
		}
		if out = appendFrame(out, f.opcode, id); len(out) < 64<<10 {
			return nil
		}
		return s.pause()
	})
}

// blast sends messages as fast as the client takes them, from begin to halt.
func (s *session) blast(r *http.Request) {
	if r.FormValue("payload") == "numbered" {
		s.pourNumbered()
		return
	}
	opcode, payload := payloadNamed(r.FormValue("payload"))
	one := appendFrame(nil, opcode, payload)
	count := max(1, (256<<10)/len(one))
	var many []byte
	for range count {
		many = append(many, one...)
	}
	s.pour(many, count)
}

// pourNumbered sends notifications whose numbers go up by one: the digits are changed where they stand.
func (s *session) pourNumbered() {
	one := appendFrame(nil, opText, numberedPayload())
	count := (256 << 10) / len(one)
	many := bytes.Repeat(one, count)
	at := bytes.Index(one, []byte(firstNumber))
	number := []byte(firstNumber)
	s.pourNext(many, count, func() {
		for i := range count {
			for digit := len(number) - 1; digit >= 0; digit-- {
				if number[digit]++; number[digit] <= '9' {
					break
				}
				number[digit] = '0'
			}
			copy(many[i*len(one)+at:], number)
		}
	})
}

// pour sends frames of so many messages over and over, from begin to halt.
func (s *session) pour(many []byte, count int) { s.pourNext(many, count, func() {}) }

// pourNext calls next before each time.
func (s *session) pourNext(many []byte, count int, next func()) {
	close(s.ready)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		s.serve(4<<10, 0, nil)
	}()
	select {
	case <-s.begin:
	case <-gone:
		return
	}
	for s.err == nil && !s.halt.Load() {
		next()
		if _, s.err = s.conn.Write(many); s.err == nil {
			s.sent += int64(count)
		}
	}
	close(s.ended)
	<-gone // the client closes when it has read everything
}

// serve reads frames until the connection ends. It answers pings and close
// frames, counts messages of the size, and hands data frames to data: their
// first bytes, if first is set.
func (s *session) serve(buffer, size int, data func(f frame, payload []byte) error) {
	message := 0        // bytes of it so far; some libraries send it in fragments
	counted := int64(0) // since the others were told
	tell := func() error {
		if counted > 0 {
			s.counted.Add(counted)
			counted = 0
		}
		if s.pause != nil {
			return s.pause()
		}
		return nil
	}
	defer tell()
	in := frames{from: &ahead{s.r, s.conn}, buf: make([]byte, buffer), idle: tell}
	for {
		f, err := in.header()
		if err != nil {
			return
		}
		if f.opcode >= opClose {
			payload, err := in.payload(f, f.length)
			if err != nil {
				return
			}
			answer := f.opcode
			switch answer {
			case opPong:
				continue
			case opPing:
				answer = opPong
			case opClose:
				if tell() != nil { // nothing may follow a close frame
					return
				}
			}
			if _, err = s.conn.Write(appendFrame(nil, answer, payload)); err != nil || answer == opClose {
				return
			}
			continue
		}
		look := 0
		if data != nil {
			if look = f.length; s.first > 0 {
				look = min(look, s.first)
			}
			payload, err := in.payload(f, look)
			if err != nil || data(f, payload) != nil {
				return
			}
		}
		if in.discard(f.length-look) != nil {
			return
		}
		if message += f.length; f.fin {
			if message == size {
				counted++
			}
			message = 0
		}
	}
}

// waitCount returns the count once it is at least want and has stopped
// growing, or when ctx ends.
func (s *session) waitCount(ctx context.Context, want int64) int64 {
	for {
		n := s.counted.Load()
		select {
		case <-ctx.Done():
			return s.counted.Load()
		case <-time.After(5 * time.Millisecond):
		}
		if n >= want && n == s.counted.Load() {
			return n
		}
	}
}

// waitBlast returns how many messages were sent, once the blast is over.
func (s *session) waitBlast(ctx context.Context) (int64, error) {
	select {
	case <-s.ended:
		return s.sent, s.err
	case <-ctx.Done():
		return 0, errors.New("the blast did not end: the client does not read")
	}
}

// ahead is what the HTTP server has read ahead, and then the connection
// itself, so that large reads don't go through its small buffer.
type ahead struct {
	r    *bufio.Reader
	conn net.Conn
}

func (a *ahead) Read(p []byte) (int, error) {
	if a.r != nil {
		if n := a.r.Buffered(); n > 0 {
			return a.r.Read(p[:min(n, len(p))])
		}
		a.r = nil
	}
	return a.conn.Read(p)
}
