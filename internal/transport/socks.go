//go:build !js

package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
)

// socks asks a SOCKS5 proxy for a connection to addr: RFC 1928, and RFC 1929
// for user and password. The proxy resolves the name, also with socks5://, as
// net/http has it.
func (r *route) socks(conn net.Conn, addr string) error {
	failed := func(err error) error { return &net.OpError{Op: "socks connect", Net: "tcp", Err: err} }
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return err
	}

	r.sending(r.proxy, nil)
	const none, login = 0, 2
	hello := []byte{5, 1, none}
	if r.proxy.User != nil {
		hello = []byte{5, 2, none, login}
	}
	reply := make([]byte, 4)
	if err := exchange(conn, hello, reply[:2]); err != nil {
		return failed(err)
	}
	switch {
	case reply[0] != 5:
		return errors.New("the proxy does not speak SOCKS5")
	case reply[1] == login && r.proxy.User != nil:
		user := r.proxy.User.Username()
		password, _ := r.proxy.User.Password()
		if len(user) == 0 || len(user) > 255 || len(password) > 255 {
			return errors.New("a SOCKS5 proxy takes a user of 1 to 255 bytes and a password of at most 255")
		}
		ask := append([]byte{1, byte(len(user))}, user...)
		ask = append(append(ask, byte(len(password))), password...)
		if err := exchange(conn, ask, reply[:2]); err != nil {
			return failed(err)
		}
		if reply[1] != 0 {
			return errors.New("the SOCKS5 proxy refused the user and password in its url")
		}
	case reply[1] != none:
		return errors.New("the SOCKS5 proxy wants a user and password in its url, or a method that is not known here")
	}

	ask := []byte{5, 1, 0}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.WithZone(""); ip.Is4() {
			ask = append(ask, 1)
		} else {
			ask = append(ask, 4)
		}
		ask = append(ask, ip.AsSlice()...)
	} else if len(host) <= 255 {
		ask = append(append(ask, 3, byte(len(host))), host...)
	} else {
		return errors.New("the host has more than 255 bytes, which SOCKS5 can't ask for")
	}
	ask = append(ask, byte(port>>8), byte(port))
	if err := exchange(conn, ask, reply); err != nil {
		return failed(err)
	}
	if code := reply[1]; code != 0 {
		err := fmt.Errorf("the SOCKS5 proxy answered %s", socksReply(code))
		if code >= 3 && code <= 6 {
			return failed(err) // the network's fault, as without a proxy
		}
		return err
	}
	// The address that the proxy has bound is of no interest, but of some length.
	size := map[byte]int{1: 4, 4: 16}[reply[3]]
	if reply[3] == 3 {
		if _, err := io.ReadFull(conn, reply[:1]); err != nil {
			return failed(err)
		}
		size = int(reply[0])
	} else if size == 0 {
		return fmt.Errorf("the SOCKS5 proxy answered with an address of type %d, which is none", reply[3])
	}
	if _, err := io.ReadFull(conn, make([]byte, size+2)); err != nil {
		return failed(err)
	}
	return nil
}

func exchange(conn net.Conn, ask, reply []byte) error {
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, reply)
	return err
}

func socksReply(code byte) string {
	texts := []string{"", "general failure", "not allowed by its rules", "network unreachable", "host unreachable",
		"connection refused", "TTL expired", "command not supported", "address type not supported"}
	if int(code) < len(texts) {
		return texts[code]
	}
	return fmt.Sprintf("code %d", code)
}
