package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// The server is a process of its own, so that its work is in nobody's figures.
// It speaks just enough of RFC 6455 and does nothing that could make it the
// bottleneck: it counts frames without unmasking them, and sends frames that
// were encoded once.

// endpoints is where the server listens, and the certificate of its TLS side.
type endpoints struct {
	Plain string // host:port
	TLS   string
	Herd  string // the listener that /herd/restart takes away
	Cert  []byte // PEM
}

type server struct {
	mu       sync.Mutex
	sessions map[string]*session // by the id that the client has chosen
	herd     *herd
}

// serve runs the server until stdin ends: that is, until the process that
// started it has gone, however it went.
func serve() error {
	s := &server{sessions: map[string]*session{}, herd: &herd{}}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	cert, certPEM, err := selfSigned()
	if err != nil {
		return err
	}
	hs := s.http(s.routes())
	hs.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	go hs.Serve(plain)
	go hs.ServeTLS(secure, "", "")
	s.herd.server = s.http(http.HandlerFunc(s.herd.join))
	if err := s.herd.listen("127.0.0.1:0"); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(endpoints{
		Plain: plain.Addr().String(), TLS: secure.Addr().String(), Herd: s.herd.addr, Cert: certPEM,
	}); err != nil {
		return err
	}
	io.Copy(io.Discard, os.Stdin)
	return nil
}

// http returns a server that does not offer HTTP/2, in which there is no
// upgrade, and is silent about handshakes that were cut.
func (s *server) http(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: 10 * time.Second,
	}
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sink", s.socket((*session).sink))
	mux.HandleFunc("/confirm", s.socket((*session).confirm))
	mux.HandleFunc("/quiet", s.socket((*session).quiet))
	mux.HandleFunc("/echo", s.socket((*session).echo))
	mux.HandleFunc("/blast", s.socket((*session).blast))
	mux.HandleFunc("/inflate", s.socket((*session).inflate))
	mux.HandleFunc("/blast-deflate", s.socket((*session).blastDeflated))
	mux.HandleFunc("/counted", s.control(func(ses *session, r *http.Request) (int64, error) {
		want, err := strconv.ParseInt(r.FormValue("want"), 10, 64)
		if err != nil {
			return 0, err
		}
		return ses.waitCount(r.Context(), want), nil
	}))
	mux.HandleFunc("/start", s.control(func(ses *session, r *http.Request) (int64, error) {
		select {
		case <-ses.ready:
			close(ses.begin)
			return 0, nil
		case <-r.Context().Done():
			return 0, r.Context().Err()
		}
	}))
	mux.HandleFunc("/stop", s.control(func(ses *session, r *http.Request) (int64, error) {
		ses.halt.Store(true)
		return ses.waitBlast(r.Context())
	}))
	mux.HandleFunc("/drop", s.control(func(ses *session, _ *http.Request) (int64, error) {
		now := time.Now().UnixNano()
		ses.conn.Close()
		return now, nil
	}))
	mux.HandleFunc("/herd/restart", s.herd.restart)
	mux.HandleFunc("/herd/handshakes", s.herd.report)
	return mux
}

// control answers a question about the session named by the id with a number.
func (s *server) control(answer func(*session, *http.Request) (int64, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), drainTime)
		defer cancel()
		s.mu.Lock()
		ses := s.sessions[r.FormValue("id")]
		s.mu.Unlock()
		if ses == nil {
			http.Error(w, "no such session", http.StatusNotFound)
			return
		}
		n, err := answer(ses, r.WithContext(ctx))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		io.WriteString(w, strconv.FormatInt(n, 10))
	}
}

// socket makes the handshake and runs a session on what comes of it.
func (s *server) socket(run func(*session, *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		ses := newSession(conn, rw.Reader)
		if id := r.FormValue("id"); id != "" {
			// The client may ask about its session as soon as it has the
			// answer, and after the end; so it stays until the next one with
			// its id. There are few.
			s.mu.Lock()
			s.sessions[id] = ses
			s.mu.Unlock()
		}
		agreed, answer := extensionOf(r)
		ses.agreed = agreed
		if accept(conn, r, answer) == nil {
			run(ses, r)
		}
	}
}

// accept answers the opening handshake of RFC 6455, section 4.2.2, with more
// headers, if any.
func accept(conn net.Conn, r *http.Request, headers string) error {
	const guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + guid))
	conn.SetDeadline(time.Time{})
	_, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n"+headers+"\r\n")
	return err
}

// selfSigned makes a certificate for the loopback address.
func selfSigned() (cert tls.Certificate, certPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "wsnotify bench"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return cert, nil, err
	}
	cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
