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
