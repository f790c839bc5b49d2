package wsnotify

// PutInBrowser makes c take its sockets for those of a browser, before its
// first Connect. The page wakes it by the function returned, and pages is how
// many runs listen to that.
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

// UselessInBrowser says what a page would be told of cfg.
func UselessInBrowser(cfg Config) error { return cfg.useless() }
