package wsnotifytest_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/wsnotify/wsnotify"
	"github.com/wsnotify/wsnotify/wsnotifytest"
)

func TestNotifyInAnotherEnvelope(t *testing.T) {
	for _, test := range []struct {
		typ, content string
		value        any
		want         string
	}{
		{"", "", 1, `{"msgType":"mail","content":1}`},
		{"type", "payload", []int{1}, `{"type":"mail","payload":[1]}`},
		{"t", "", "x", `{"t":"mail","content":"x"}`},
		{"", `"d"`, nil, `{"msgType":"mail","\"d\"":null}`},
		{"op", ".", struct{ N int }{1}, `{"op":"mail","N":1}`},
		{"op", ".", struct{}{}, `{"op":"mail"}`},
		{"op", ".", 7, "an error"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := wsnotifytest.NewNetwork(t).NewServer()
			got := make(chan wsnotify.Notification, 2)
			c := wsnotify.New(wsnotify.Config{
				HTTPClient:     s.HTTPClient(),
				Envelope:       wsnotify.Envelope{Type: test.typ, Content: test.content},
				OnNotification: func(n wsnotify.Notification) { got <- n },
			})
			if err := c.Connect(t.Context(), s.URL(), "ada"); err != nil {
				t.Fatal(err)
			}
			defer func() { c.Disconnect(); <-c.Done() }()
			s.Envelope(test.typ, test.content)
			conn, err := s.Conn(t.Context(), "ada")
			if err != nil {
				t.Fatal(err)
			}
			errs := fmt.Sprint(s.Notify("ada", "mail", test.value), conn.Notify("mail", test.value))
			if test.want == "an error" {
				if want := "wsnotifytest: a content that is the whole message must be an object, not 7"; errs != want+" "+want {
					t.Error(errs)
				}
				return
			}
			for range 2 {
				n := <-got
				if string(n.Raw) != test.want || n.MsgType != "mail" && !n.Fallback || errs != "<nil> <nil>" {
					t.Errorf("%+v gave %+v, %v", test, n, errs)
				}
			}
		})
	}
}
