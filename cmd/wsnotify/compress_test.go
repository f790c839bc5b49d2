package main

import (
	"bytes"
	"compress/flate"
	"io"
	"strings"
	"testing"

	"github.com/wsnotify/wsnotify"
)

const offerDeflate = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"

// deflated is a compressed message that refers to none before it.
func deflated(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	io.WriteString(w, text)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\x00\x00\xff\xff")
}

// Whatever a client sends that has agreed on compression, serve answers it, and goes
// on.
func TestServeSurvivesCompressedMessages(t *testing.T) {
	h, srv := hubServer(t, func(h *hub) { h.echo, h.readLimit = true, 200_000 })
	for name, test := range map[string]struct {
		bytes string
		code  int
	}{
		"a fragment, and a close frame":  {"\x41\x81\x00\x00\x00\x00\x00\x88\x82\x00\x00\x00\x00\x03\xe8", 1000},
		"no block at all":                {mask(0xC1, ""), 1002},
		"a block that is cut":            {mask(0xC1, "\xf2\x48\xcd"), 1002},
		"a reserved type":                {mask(0xC1, "\x07"), 1002},
		"RSV1 on a continuation":         {mask(0x41, "\xf2") + mask(0xC0, "\x48"), 1002},
		"RSV1 on a ping":                 {mask(0xC9, ""), 1002},
		"RSV2":                           {mask(0xA1, "x"), 1002},
		"text that is not UTF-8":         {mask(0xC1, deflated("a\xff")), 1007},
		"a byte over the limit":          {mask(0xC2, deflated(strings.Repeat("x", 200_001))), 1009},
		"1 GiB":                          {mask(0xC2, strings.TrimSuffix(strings.Repeat(deflated(strings.Repeat("\x00", 1<<20))+"\x00\x00\xff\xff", 120), "\x00\x00\xff\xff")), 1009},
		"a frame far over the limit":     {"\xc2\xff\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00", 1009},
		"compressed, and a normal close": {mask(0xC1, deflated("Hello")) + mask(0x88, "\x03\xe8"), 1000},
	} {
		c := dialOffering(t, srv, "/ws/raw", offerDeflate)
		go io.WriteString(c, test.bytes)
		for {
			op, payload, err := c.frame()
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if op != opClose {
				continue
			}
			if code := int(payload[0])<<8 | int(payload[1]); code != test.code {
				t.Errorf("%s: closed with %d and not %d: %s", name, code, test.code, payload[2:])
			}
			break
		}
		c.Close()
	}
	_ = h
}

// What the client and serve say to each other arrives, with any window and mode,
// in messages of any size.
func TestServeCompresses(t *testing.T) {
	for i, cfg := range []wsnotify.Config{
		{Compression: wsnotify.CompressionContextTakeover},
		{Compression: wsnotify.CompressionContextTakeover, CompressionWindow: 9},
		{Compression: wsnotify.CompressionNoContextTakeover, CompressionWindow: 12},
	} {
		_, srv := hubServer(t, func(h *hub) { h.echo, h.readLimit = true, []int64{4 << 20, 3 << 20, -1}[i] })
		got := make(chan string, 100)
		var agreed wsnotify.CompressionAgreement
		cfg.ReadLimit = 4 << 20
		cfg.Heartbeat.Interval = -1
		cfg.OnOpen = func(ev wsnotify.OpenEvent) { agreed = ev.Compression }
		cfg.OnMessage = func(m wsnotify.Message) { got <- string(m.Data) }
		c := wsnotify.New(cfg)
		if err := c.Connect(t.Context(), srv.URL+"/ws/ada", ""); err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{0, 1, 100, 64 << 10, 64<<10 + 1, 3 << 20, 100} {
			text := strings.Repeat(`{"msgType":"a","content":"b"}`, size/29+1)[:size]
			if err := c.SendMessage(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			if echo := <-got; echo != text {
				t.Errorf("%s: %d bytes came back as %d", agreed, size, len(echo))
			}
		}
		c.Disconnect()
		<-c.Done()
		want := cfg.CompressionWindow
		if want == 0 {
			want = 15
		}
		if agreed.ServerWindow != want || agreed.ClientWindow != want || agreed.ServerTakeover != (cfg.Compression == wsnotify.CompressionContextTakeover) {
			t.Errorf("%+v was agreed on", agreed)
		}
	}
}
