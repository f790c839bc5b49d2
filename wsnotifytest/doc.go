// Package wsnotifytest is to WebSocket clients what net/http/httptest is to HTTP: a notification
// server for tests that behaves as it is told to, on loopback or wholly in memory, where hours of
// a testing/synctest bubble's virtual time pass in milliseconds.
//
//	func TestReconnect(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			n := wsnotifytest.NewNetwork(t) // inside the bubble
//			s := n.NewServer()
//			// … give s.URL() and s.HTTPClient() to the code under test …
//			conn, err := s.Conn(t.Context(), "ada") // waits for the connection
//			if err != nil {
//				t.Fatal(err)
//			}
//			conn.Drop() // the server's process dies
//			// … and see that the client is back …
//			if _, err := s.NthConn(t.Context(), 2); err != nil {
//				t.Fatal(err)
//			}
//		})
//	}
//
// Nothing has to be closed: the server goes when the test ends, after the cleanups that were
// registered later. A connection or a goroutine that the code under test has left by then fails
// the test and is named, and so does a violation of RFC 6455 by the client, or a function that was given
// to the server and has not returned. Programs and examples, which have no *testing.T, call Run.
//
// A connection is there for the test, and is counted, once the client has read the response to its
// handshake. So nothing that is done to a connection hits its handshake; for that there are Refuse and its
// siblings.
//
// # Which server
//
//	NewNetwork(t).NewServer()     in memory; in a bubble it is the only kind that works
//	NewServer(t)                  on 127.0.0.1, with real sockets
//	…NewTLSServer                 either with TLS; HTTPClient trusts the certificate
//	n.NewServer(), n.NewServer()  two hosts of one network, for failover
//
// # For one user, or for all
//
// What can be done to a Conn can be done to all connections of a user, or of everybody, and what a
// server can be told of handshakes holds for one user likewise:
//
//	s.User("ada").Drop(), s.Everybody().BlackHole(true)
//	s.User("eve").Refuse(-1, 403, nil, "")
//
// # Pushing and seeing
//
//	s.Notify("ada", "mail", "3 new")     {"msgType":"mail","content":"3 new"}
//	s.Envelope("type", "payload")        {"type":"mail","payload":"3 new"} from now on
//	s.SendText("ada", `{"broken"`)       anything else
//	s.Broadcast("…")                     to everybody
//	s.WaitMessages(ctx, "ada", 3)        what ada sent, once it is three messages
//	s.Heartbeats("ada")                  the text messages "ping" and the ping frames, counted
//	s.Handshakes()                       requests with their headers, the refused ones too
//	s.Live(), s.MaxLive(), s.Total()     connections now, at once at most, ever
//	s.CloseCodes(), conn.CloseCode()     how clients said good-bye
//	conn.WaitCloseCode(ctx)              the same, once it is known: after conn.Close, for one
//	s.WaitQuiet(ctx)                     until nothing moves any more, in a bubble and on loopback
//	n.Dials(), n.Conns(), n.MaxConns()   what clients did to the network, and
//	n.WriteCalls()                       in how many writes
//	s.Compress(true)                     agree on permessage-deflate with clients that offer it
//	s.RecordMessages(false)              count messages and keep none, for soaks
//
// # The server does not let one in
//
//	s.Refuse(2, 503, http.Header{"Retry-After": {"7"}}, "busy")  twice
//	s.Refuse(-1, 401, nil, "")           until s.Refuse(0, 0, nil, "")
//	s.OnHandshake(f)                     f decides, say by the token in the request
//	s.RefuseRaw(1, "SSH-2.0\r\n")        something else listens there
//	s.WrongKey(1)                        101, but not an answer to this request
//	s.HangHandshake(1)                   no answer at all
//	s.Refuse(1, 302, http.Header{"Location": {"ws://elsewhere/"}}, "")  a redirect
//	s.Subprotocols("v2")                 and none is chosen if the client does not offer it
//
// # The server cannot be reached
//
//	s.Stop(), s.Start()                  it is down and comes up again
//	s.Restart(25*time.Second)            both, with that long between them
//	n.Refuse(true)                       ECONNREFUSED everywhere
//	n.Hang(true), s.HangDials(true)      packets vanish while dialling
//	n.NoSuchHost(true)                   the name server does not know it
//	n.BlackHole(true)                    the cable is pulled, for dials and connections
//
// # A connection ends
//
//	conn.Close(1012, "restart")          properly
//	conn.Drop()                          FIN without a close frame: killed processes, proxies
//	conn.Reset()                         RST
//	s.Stop()                             all of them, and no new one
//	conn.StopMidFrame("…"); conn.Drop()  in the middle of a frame
//	conn.WriteRaw(bytes)                 anything at all; see AppendFrame
//
// # A connection is there and is not well
//
//	conn.BlackHole(true)                 half-open: nobody is told, writes still succeed
//	conn.Mute(true), s.AnswerPings(false)  no pongs come
//	conn.StopReading(true)               the client's writes fill the buffers and then block
//	s.AnswerClose(false)                 the closing handshake is never completed
//	conn.CloseFrame(1001, "")            good-bye, and yet the server stays
//	conn.WriteFrame(false, OpText, b)    fragments, and wrong frames
//	n.Latency(d), n.BytesPerSecond(n)    a slow line, also of a User or a Conn
//	conn.ComeBack()                      it is well again
//
// # A story
//
//	wait := s.Script(ctx, Accept(), Say("hello"), Expect("hi"), DropConn(),
//		RefuseWith(503), Accept(), Expect("again"), CloseConn(1000))
//	err := wait() // names the step that did not come true
//
// # A recording
//
//	rec, err := ReadRecording(file)      of wsnotify.Config.Record, or wsnotify connect --record
//	s.Replay(rec)                        plays the server, and compares what the client sends
//	err = s.WaitReplay(ctx)              until it is over
//	rec.Message(3).Do = (*Conn).Drop     a fault behind the third message
//
// # Virtual time
//
// Make the network inside the bubble, as everything that has channels or timers. What was sent
// has been processed after synctest.Wait. The in-memory connection is buffered like TCP's, 64 KiB
// each way, and like it takes the first write after the peer has closed: the next one fails.
//
// What waits for a client, from Conn to the steps of a script, ends with its context. If that has no
// deadline, it ends after 24 hours of virtual time, which come at once, or after 10 s of real time, before
// "go test -timeout" ends everything. It says what it has waited for, what came, and what came before.
package wsnotifytest
