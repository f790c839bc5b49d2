package wsnotify

// PutInBrowser makes c take its sockets for those of a browser, before its
// first Connect. The page wakes it by the function returned, and pages is how
// many runs are notified by that.
func PutInBrowser(c *Client) (wake func(), pages *int) {
	pages = new(int)
	var listener func()
	c.pings = false
	c.onWake = func(wake func()) (stop func()) {
		*pages++
		listener = wake
		return func() { *pages-- }
	}
	return func() { listener() }, pages
}

// UselessInBrowser says what New says of cfg in a page.
func UselessInBrowser(cfg Config) error { return cfg.useless() }

// KeysKept returns how many keys c knows something of: those of its set, and those that
// left it and are still subscribed on the connection.
func KeysKept(c *Client) int {
	s := c.subscriptions
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keys)
}
