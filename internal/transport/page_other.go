//go:build !js

package transport

// OnWake is for a browser, whose page learns that the network is back or that
// it is shown again. Elsewhere nothing calls wake.
func OnWake(wake func()) (stop func()) { return func() {} }
