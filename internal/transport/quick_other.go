//go:build !unix && !js

package transport

import "net"

type quick struct{}

func newQuick(net.Conn) *quick { return nil }

func (q *quick) write([]byte) (int, error) { return 0, nil }
