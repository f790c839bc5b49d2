package wsnotifytest

// Notify sends {"msgType":…,"content":…} to the live connections of user. It returns ErrNoConn if
// there is none, and waits for room if a client does not read.
func (s *Server) Notify(user, msgType string, content any) error {
	return s.User(user).Notify(msgType, content)
}

// SendText sends a text message to the live connections of user; see Notify.
func (s *Server) SendText(user, text string) error { return s.User(user).SendText(text) }

// SendBinary sends a binary message to the live connections of user; see Notify.
func (s *Server) SendBinary(user string, b []byte) error { return s.User(user).SendBinary(b) }

// Broadcast sends a text message to all live connections. Those that end meanwhile miss it.
// Everybody has the other kinds of messages.
func (s *Server) Broadcast(text string) { _ = s.Everybody().SendText(text) }
