//go:build !unix && !js

package transport

import "net"

type direct struct{}

func newDirect(net.Conn, *Socket) *direct { return nil }

func (d *direct) Write([]byte) (n int, err error, ok bool) { return 0, nil, false }
