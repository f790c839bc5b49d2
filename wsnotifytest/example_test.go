package wsnotifytest_test

import (
	"fmt"

	"github.com/wsnotify/wsnotify/wsnotifytest"
)

// A message in two fragments with a ping between them, for Conn.WriteRaw to send in one write.
func ExampleAppendFrame() {
	var b []byte
	b = wsnotifytest.AppendFrame(b, false, wsnotifytest.OpText, []byte("Hel"))
	b = wsnotifytest.AppendFrame(b, true, wsnotifytest.OpPing, nil)
	b = wsnotifytest.AppendFrame(b, true, wsnotifytest.OpContinuation, []byte("lo"))
	fmt.Printf("% x\n", b)
	// Output: 01 03 48 65 6c 89 00 80 02 6c 6f
}
