package transport

// Socket stands for the net.Conn, which a browser keeps to itself: the ctx of
// Open ends a dial.
type Socket struct{}

// NewSocket returns one.
func NewSocket(Options) *Socket { return &Socket{} }

// Close reports that there was no net.Conn to close.
func (*Socket) Close() bool { return false }
