//go:build !js

package transport

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
)

// socks asks a SOCKS5 proxy for a connection to addr: RFC 1928, and RFC 1929
// for user and password. The proxy resolves the name, also with socks5://, as
// net/http has it.
func (r *route) socks(conn net.Conn, addr string) error {
	host, portText, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return err
	}
	r.sending(r.proxy, nil)
	if err := socksMethod(conn, r.proxy.User); err != nil {
		return err
	}
	ask, err := socksRequest(host, uint16(port))
	if err != nil {
		return err
	}
	reply := make([]byte, 4)
	if err := exchange(conn, ask, reply); err != nil {
		return err
	}
	if code := reply[1]; code != 0 {
		err := fmt.Errorf("the SOCKS5 proxy answered %s", socksReply(code))
		if code >= 3 && code <= 6 {
			return socksFailed(err) // the network's fault, as without a proxy
		}
		return err
	}
	return skipBoundAddress(conn, reply[3])
}

// socksMethod agrees with the proxy on how it knows the user, and logs in if it asks.
func socksMethod(conn net.Conn, user *url.Userinfo) error {
	const none, login = 0, 2
	hello := []byte{5, 1, none}
	if user != nil {
		hello = []byte{5, 2, none, login}
	}
	reply := make([]byte, 2)
	if err := exchange(conn, hello, reply); err != nil {
		return err
	}
	switch {
	case reply[0] != 5:
		return errors.New("the proxy does not speak SOCKS5")
	case reply[1] == none:
		return nil
	case reply[1] != login || user == nil:
		return errors.New("the SOCKS5 proxy wants a user and password in its url, or a method that is not known here")
	}
	name := user.Username()
	password, _ := user.Password()
	if len(name) == 0 || len(name) > 255 || len(password) > 255 {
		return errors.New("a SOCKS5 proxy takes a user of 1 to 255 bytes and a password of at most 255")
	}
	ask := append([]byte{1, byte(len(name))}, name...)
	ask = append(append(ask, byte(len(password))), password...)
	if err := exchange(conn, ask, reply); err != nil {
		return err
	}
	if reply[1] != 0 {
		return errors.New("the SOCKS5 proxy refused the user and password in its url")
	}
	return nil
}

// socksRequest asks for a connection to an address or a name.
func socksRequest(host string, port uint16) ([]byte, error) {
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
		return nil, errors.New("the host has more than 255 bytes, which SOCKS5 can't ask for")
	}
	return binary.BigEndian.AppendUint16(ask, port), nil
}

// skipBoundAddress reads the address that the proxy has bound. It is of no interest, but of
// some length.
func skipBoundAddress(conn net.Conn, kind byte) error {
	size := map[byte]int{1: 4, 4: 16}[kind]
	if kind == 3 {
		length := make([]byte, 1)
		if _, err := io.ReadFull(conn, length); err != nil {
			return socksFailed(err)
		}
		size = int(length[0])
	} else if size == 0 {
		return fmt.Errorf("the SOCKS5 proxy answered with an address of type %d, which is none", kind)
	}
	if _, err := io.ReadFull(conn, make([]byte, size+2)); err != nil {
		return socksFailed(err)
	}
	return nil
}

// socksFailed is err as an error of the network.
func socksFailed(err error) error { return &net.OpError{Op: "socks connect", Net: "tcp", Err: err} }

// exchange writes ask, and reads a reply of known length.
func exchange(conn net.Conn, ask, reply []byte) error {
	if _, err := conn.Write(ask); err != nil {
		return socksFailed(err)
	}
	if _, err := io.ReadFull(conn, reply); err != nil {
		return socksFailed(err)
	}
	return nil
}

func socksReply(code byte) string {
	texts := []string{"", "general failure", "not allowed by its rules", "network unreachable", "host unreachable",
		"connection refused", "TTL expired", "command not supported", "address type not supported"}
	if int(code) < len(texts) {
		return texts[code]
	}
	return fmt.Sprintf("code %d", code)
}
