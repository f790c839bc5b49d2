package wsnotify

import "testing"

// BenchmarkDeliver is the way of a notification of 120 bytes from the inbox to its
// callback, parsing included.
func BenchmarkDeliver(b *testing.B) {
	data := []byte(`{"msgType":"order.created","content":{"id":123456,"user":"ada","total":12.5,"items":["a","b","c"],"note":"as usual"}}  `)
	for name, set := range map[string]func(*Config) func(*Client){
		"handler": func(*Config) func(*Client) {
			return func(c *Client) { On(c, "order.created", func(order struct{ ID int }) {}) }
		},
		"OnNotification": func(cfg *Config) func(*Client) {
			cfg.OnNotification = func(Notification) {}
			return func(*Client) {}
		},
		"OnMessage": func(cfg *Config) func(*Client) {
			cfg.OnMessage = func(Message) {}
			return func(*Client) {}
		},
	} {
		b.Run(name, func(b *testing.B) {
			var cfg Config
			on := set(&cfg)
			c := New(cfg)
			on(c)
			b.ReportAllocs()
			for b.Loop() {
				c.deliver(Message{Type: MessageText, Data: data}, false)
			}
			c.callbacks.stop()
		})
	}
}
