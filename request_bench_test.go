//go:build !race

package wsnotify_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/wsnotify/wsnotify"
)

// BenchmarkRequest is a request beside what people write by hand: Send, a map
// of channels, and an OnMessage that decodes the id of each message.
func BenchmarkRequest(b *testing.B) {
	url := echoServer(b)
	var next atomic.Int64
	question := func() (id string, data []byte) {
		id = strconv.FormatInt(next.Add(1), 10)
		return id, fmt.Appendf(nil, `{"id":%s,"method":"subscribe","params":["ticker","trades","book"],"ts":1700000000}`, id)
	}
	run := func(name string, cfg wsnotify.Config, ask func(c *wsnotify.Client, id string, data []byte) error) {
		b.Run(name, func(b *testing.B) {
			cfg.CloseTimeout = -1
			c := wsnotify.New(cfg)
			if err := c.Connect(bg, url, ""); err != nil {
				b.Fatal(err)
			}
			defer func() { c.Disconnect(); <-c.Done() }()
			b.ReportAllocs()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if id, data := question(); ask(c, id, data) != nil {
						b.Error("no answer")
					}
				}
			})
		})
	}
	run("Request", wsnotify.Config{}, func(c *wsnotify.Client, id string, data []byte) error {
		_, err := c.Request(bg, id, wsnotify.MessageText, data)
		return err
	})
	var mu sync.Mutex
	waiting := map[string]chan []byte{}
	run("by hand", wsnotify.Config{OnMessage: func(m wsnotify.Message) {
		var v struct{ ID json.RawMessage }
		if json.Unmarshal(m.Data, &v) != nil {
			return
		}
		mu.Lock()
		ch := waiting[string(v.ID)]
		delete(waiting, string(v.ID))
		mu.Unlock()
		if ch != nil {
			ch <- m.Data
		}
	}}, func(c *wsnotify.Client, id string, data []byte) error {
		ch := make(chan []byte, 1)
		mu.Lock()
		waiting[id] = ch
		mu.Unlock()
		if err := c.Send(bg, wsnotify.MessageText, data); err != nil {
			return err
		}
		<-ch
		return nil
	})
}

// echoServer sends back what it gets, unmasked, as fast as it can.
func echoServer(b *testing.B) (url string) {
	return rawServer(b, func(conn net.Conn) {
		var in []byte
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			in = append(in, buf[:n]...)
			var out []byte
			for {
				f, n := refDecode(in)
				if n == 0 {
					break
				}
				in = in[n:]
				out = append(out, 0x80|f.opcode, byte(len(f.payload)))
				out = append(out, f.payload...)
			}
			if _, err := conn.Write(out); err != nil && err != io.EOF {
				return
			}
		}
	})
}
