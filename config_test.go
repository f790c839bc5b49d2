package wsnotify

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// TestZeroConfig walks all fields: each is either one of those below, with the
// default that its comment promises, or nil means nothing.
func TestZeroConfig(t *testing.T) {
	want := map[string]any{
		"ReadLimit":    int64(1 << 20),
		"DialTimeout":  10 * time.Second,
		"WriteTimeout": 10 * time.Second,
		"CloseTimeout": 5 * time.Second,
		"SlowCallback": 10 * time.Second,
		"StableAfter":  time.Duration(0), "DrainTimeout": time.Duration(0),
		"Compression":           CompressionMode(0),
		"Heartbeat.Interval":    6 * time.Second,
		"Heartbeat.Timeout":     6 * time.Second,
		"Heartbeat.Text":        "ping",
		"Heartbeat.NoText":      false,
		"Heartbeat.Replies":     []string{"pong", "ping"},
		"Inbox.Messages":        1024,
		"Inbox.Bytes":           4 << 20,
		"Outbox.Messages":       1024,
		"Outbox.Bytes":          4 << 20,
		"Outbox.MaxAge":         time.Duration(0),
		"Outbox.Overflow":       RejectNew,
		"Outbox.Resend":         false,
		"Outbox.ConfirmID":      nil,
		"Outbox.ConfirmTimeout": 30 * time.Second,
		"Outbox.Store":          nil,
		"Envelope.Type":         "msgType",
		"Envelope.Content":      "content",
		"Envelope.ID":           "id",
		"Envelope.Parse":        nil,
		"Fallback.MsgType":      "您有新的通知",
		"Fallback.Content":      "您有新的通知，请前往消息列表查看",
		"Fallback.Raw":          nil,
		"Fallback.Fallback":     false,
		"Fallback.Epoch":        uint64(0),
		"MaxFrame":              1 << 20,
		"Heartbeat.TextFunc":    nil,
		"Heartbeat.Answer":      nil,
		"Inbox.Reuse":           false,
		"BackOff":               nil, // below
		"HTTPClient":            nil,
		"Header":                nil,
		"Subprotocols":          nil,
		"BeforeDial":            nil,
		"OnHandshake":           nil,
		"ShouldReconnect":       nil,
		"OnStateChange":         nil,
		"OnOpen":                nil,
		"DialLimiter":           nil,
		"Outbox.Limiter":        nil,
		"Resume.Position":       nil,
		"Resume.Query":          "",
		"Resume.Order":          PositionOpaque,
		"Resume.OnGap":          nil,
		"Resume.OnHandlerError": HandlerErrorContinue,
		"Resume.Store":          nil,
		"Resume.SaveEvery":      time.Second,

		"Subscriptions.Subscribe":      nil,
		"Subscriptions.Unsubscribe":    nil,
		"Subscriptions.Batch":          1,
		"Subscriptions.Confirm":        nil,
		"Subscriptions.ConfirmTimeout": 30 * time.Second,

		"OnClose":           nil,
		"OnReconnecting":    nil,
		"OnGiveUp":          nil,
		"OnError":           nil,
		"OnMessage":         nil,
		"OnNotification":    nil,
		"OnUndelivered":     nil,
		"Logger":            nil,
		"CompressionWindow": 15,
		"Record":            nil,
		"RecordMessage":     nil,
		"RecordPings":       false,
		"RecordSecrets":     false,
	}
	cfg := Config{}.withDefaults()
	if err := cfg.validate(); err != nil {
		t.Error(err)
	}
	b := cfg.BackOff()
	b.Reset()
	for range 6 {
		if d := b.NextBackOff(); d != 10*time.Second {
			t.Errorf("the back-off is %v", d)
		}
	}
	if d := b.NextBackOff(); d != backoff.Stop {
		t.Errorf("the seventh back-off is %v", d)
	}
	cfg.BackOff = nil
	seen := 0
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name, field := prefix+v.Type().Field(i).Name, v.Field(i)
			if !v.Type().Field(i).IsExported() {
				continue
			}
			switch name {
			case "Heartbeat", "Inbox", "Outbox", "Envelope", "Fallback", "Resume", "Subscriptions":
				walk(name+".", field)
				continue
			}
			seen++
			value, known := want[name]
			switch {
			case !known:
				t.Errorf("nobody says what the zero of %s means", name)
			case value == nil:
				if !field.IsNil() {
					t.Errorf("%s is not nil", name)
				}
			case !reflect.DeepEqual(field.Interface(), value):
				t.Errorf("%s is %v and not %v", name, field.Interface(), value)
			}
		}
	}
	walk("", reflect.ValueOf(cfg))
	if seen != len(want) {
		t.Errorf("%d fields and not %d", seen, len(want))
	}
}

// Negative means off, and stays.
func TestNegativeConfig(t *testing.T) {
	cfg := Config{
		ReadLimit: -1, DialTimeout: -1, WriteTimeout: -1, CloseTimeout: -1,
		Heartbeat: Heartbeat{Interval: -1, Timeout: -1},
		Inbox:     Inbox{Messages: -1, Bytes: -1}, Outbox: Outbox{Messages: -1, Bytes: -1, MaxAge: -1},
	}.withDefaults()
	if err := cfg.validate(); err != nil {
		t.Error(err)
	}
	if cfg.ReadLimit != -1 || cfg.DialTimeout != -1 || cfg.WriteTimeout != -1 || cfg.CloseTimeout != -1 ||
		cfg.Heartbeat.Interval != -1 || cfg.Heartbeat.Timeout != -1 || cfg.Inbox != (Inbox{Messages: -1, Bytes: -1}) ||
		cfg.Outbox.Messages != -1 || cfg.Outbox.Bytes != -1 {
		t.Errorf("%+v", cfg)
	}
}

// What is said of one field decides on the defaults of others, and what was set stays.
func TestDefaultsThatDependOnOtherFields(t *testing.T) {
	for name, test := range map[string]struct {
		replies, want []string
		beat          Heartbeat
	}{
		"another text":          {nil, []string{"pong", "beat"}, Heartbeat{Text: "beat"}},
		"no text":               {nil, []string{}, Heartbeat{NoText: true}},
		"no text of a TextFunc": {nil, []string{}, Heartbeat{NoText: true, TextFunc: func() string { return "" }}},
		"a TextFunc":            {nil, []string{"pong"}, Heartbeat{TextFunc: func() string { return "" }}},
		"none":                  {[]string{}, []string{}, Heartbeat{}},
		"some, without text":    {[]string{"x"}, []string{"x"}, Heartbeat{NoText: true}},
	} {
		test.beat.Replies = test.replies
		if got := (Config{Heartbeat: test.beat}).withDefaults().Heartbeat.Replies; got == nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: the replies are %q, want %q", name, got, test.want)
		}
	}
	parse := func(Message) (string, []byte, error) { return "", nil, nil }
	for name, test := range map[string]struct {
		envelope  Envelope
		fallback  Notification
		fields    string // type, content and id
		isDefault bool   // the fallback is the store's
	}{
		"only a msgType":   {fallback: Notification{MsgType: "a"}, fields: "msgType content id"},
		"only a content":   {fallback: Notification{Content: "a"}, fields: "msgType content id"},
		"another type":     {envelope: Envelope{Type: "type"}, fields: "type content id"},
		"another content":  {envelope: Envelope{Content: "data"}, fields: "msgType data id"},
		"another id":       {envelope: Envelope{ID: "ref"}, fields: "msgType content ref", isDefault: true},
		"a Parse":          {envelope: Envelope{Parse: parse}, fields: "  id"},
		"Parse and a text": {envelope: Envelope{Parse: parse}, fallback: Notification{MsgType: "a", Content: "b"}, fields: "  id"},
	} {
		cfg := Config{Envelope: test.envelope, Fallback: test.fallback}.withDefaults()
		if got := cfg.Envelope.Type + " " + cfg.Envelope.Content + " " + cfg.Envelope.ID; got != test.fields {
			t.Errorf("%s: the fields are %q, want %q", name, got, test.fields)
		}
		want := test.fallback
		if test.isDefault {
			want = Notification{MsgType: fallbackTitle, Content: fallbackText}
		}
		if !reflect.DeepEqual(cfg.Fallback, want) {
			t.Errorf("%s: the fallback is %+v, want %+v", name, cfg.Fallback, want)
		}
	}
}

func TestConfigIsCopied(t *testing.T) {
	cfg := Config{
		Header:       http.Header{"A": {"1"}},
		Subprotocols: []string{"a"},
		Heartbeat:    Heartbeat{Replies: []string{"x"}},
		HTTPClient:   &http.Client{},
	}
	c := New(cfg)
	cfg.Header.Set("A", "2")
	cfg.Subprotocols[0] = "b"
	cfg.Heartbeat.Replies[0] = "y"
	cfg.HTTPClient.Timeout = time.Second
	if c.cfg.Header.Get("A") != "1" || c.cfg.Subprotocols[0] != "a" || c.cfg.Heartbeat.Replies[0] != "x" || c.cfg.HTTPClient.Timeout != 0 {
		t.Errorf("%+v", c.cfg)
	}
}

// Connect says which field is wrong, and what would be right, and changes nothing.
func TestWrongConfigIsReportedByConnect(t *testing.T) {
	parse := func(Message) (string, []byte, error) { return "", nil, nil }
	seq := PositionField("seq")
	for want, cfgs := range map[string][]Config{
		`Header: "a b" is not the name of a header field`:                                                        {{Header: http.Header{"a b": {"c"}}}},
		"Header: the value of Authorization holds a control character":                                           {{Header: http.Header{"Authorization": {"secret\r\nX: y"}}}},
		"Header: Sec-Websocket-Protocol is set by the transport; use Config.Subprotocols and Config.Compression": {{Header: http.Header{"Sec-WebSocket-Protocol": {"c"}}}},
		"Header: Upgrade is set by the transport":                                                                {{Header: http.Header{"Upgrade": {"c"}}}},
		"Subprotocols[0] is not a token of RFC 9110: it is empty, or has a space, a comma or the like in it":     {{Subprotocols: []string{"a,b"}}},
		"Subprotocols[1] is there twice, as [0] too":                                                             {{Subprotocols: []string{"a", "a"}}},
		"Compression: -1 is none of the CompressionMode constants":                                               {{Compression: -1}},
		"Compression: 3 is none of the CompressionMode constants":                                                {{Compression: 3}},
		"CompressionWindow: 8 is not a number of bits from 9 to 15":                                              {{CompressionWindow: 8}},
		"CompressionWindow: 16 is not a number of bits from 9 to 15":                                             {{CompressionWindow: 16}},
		"StableAfter: -1ns is negative; 0 resets the counter on Open":                                            {{StableAfter: -1}},
		"Outbox.Overflow: -1 is neither RejectNew nor DropOldest":                                                {{Outbox: Outbox{Overflow: -1}}},
		"Outbox.Overflow: 2 is neither RejectNew nor DropOldest":                                                 {{Outbox: Outbox{Overflow: 2}}},
		`Heartbeat.Text: "\xff" is not UTF-8, as a text message must be`:                                         {{Heartbeat: Heartbeat{Text: "\xff"}}},

		`Envelope.Type: "." stands for the whole message, which only Content can be; name a field`: {{Envelope: Envelope{Type: "."}}},
		`Envelope.ID: "." stands for the whole message, which only Content can be; name a field`:   {{Envelope: Envelope{ID: "."}}, {Envelope: Envelope{ID: ".", Parse: parse}}},
		`Envelope.Type: "\xff" is not UTF-8, as the name of a field must be`:                       {{Envelope: Envelope{Type: "\xff"}}},
		`Envelope.ID: "\xff" is not UTF-8, as the name of a field must be`:                         {{Envelope: Envelope{ID: "\xff"}}},
		`Envelope.Content: "\xff" is not UTF-8, as the name of a field must be`:                    {{Envelope: Envelope{Content: "\xff"}}},
		`Envelope.Type and Content are both "content": name two fields, or "." as Content for the whole message`: {
			{Envelope: Envelope{Type: "content"}}, {Envelope: Envelope{Type: "content", Content: "content"}}},
		"Envelope.Parse takes over from Type and Content: set either Parse or these": {
			{Envelope: Envelope{Type: "t", Parse: parse}}, {Envelope: Envelope{Content: "t", Parse: parse}}},

		"Subscriptions.Subscribe is nil, so nothing can be subscribed; set it": {
			{Subscriptions: Subscriptions{Unsubscribe: func([]string) (Message, error) { return Message{}, nil }}},
			{Subscriptions: Subscriptions{Confirm: func(Message) ([]string, error) { return nil, nil }}}, {Subscriptions: Subscriptions{Batch: 2}}},
		"Subscriptions.Batch: -1 is negative; 0 means one key in each message": {{Subscriptions: Subscriptions{Batch: -1}}},

		`Resume.Position is nil, so nothing resumes; set it, for instance to PositionField("seq")`: {
			{Resume: Resume{Query: "after"}}, {Resume: Resume{Order: PositionIncreasing}}, {Resume: Resume{OnGap: func(Gap) {}}},
			{Resume: Resume{OnHandlerError: HandlerErrorRedeliver}}, {Resume: Resume{Store: noPositions{}}}},
		"Resume.Order: -1 is none of the PositionOrder constants":                             {{Resume: Resume{Position: seq, Order: -1}}},
		"Resume.Order: 3 is none of the PositionOrder constants":                              {{Resume: Resume{Position: seq, Order: 3}}},
		"Resume.OnHandlerError: -1 is neither HandlerErrorContinue nor HandlerErrorRedeliver": {{Resume: Resume{Position: seq, OnHandlerError: -1}}},
		"Resume.OnHandlerError: 2 is neither HandlerErrorContinue nor HandlerErrorRedeliver":  {{Resume: Resume{Position: seq, OnHandlerError: 2}}},
	} {
		for _, cfg := range cfgs {
			c := New(cfg)
			for name, begin := range map[string]func(context.Context, string, string) error{"Connect": c.Connect, "Run": c.Run} {
				if err := begin(t.Context(), "ws://localhost:1/", ""); err == nil || err.Error() != "wsnotify: Config."+want {
					t.Errorf("%s: %v\nwant wsnotify: Config.%s", name, err, want)
				}
			}
			if c.ReadyState() != Closed || c.Err() != nil {
				t.Errorf("%s: %v, %v", want, c.ReadyState(), c.Err())
			}
			<-c.Done()
		}
	}
	err := New(Config{StableAfter: -time.Second, CompressionWindow: 99}).Connect(t.Context(), "ws://localhost:1/", "")
	if want := "wsnotify: Config.CompressionWindow: 99 is not a number of bits from 9 to 15\nwsnotify: Config.StableAfter: -1s is negative; 0 resets the counter on Open"; err == nil || err.Error() != want {
		t.Errorf("two that are wrong: %v", err)
	}
}

// What is at the bounds is right.
func TestConfigAtItsBounds(t *testing.T) {
	for _, cfg := range []Config{
		{Compression: CompressionContextTakeover, CompressionWindow: 9}, {Compression: CompressionNoContextTakeover, CompressionWindow: 15},
		{Outbox: Outbox{Overflow: DropOldest}}, {Heartbeat: Heartbeat{Text: "心跳"}},
		{Envelope: Envelope{Content: "."}}, {Envelope: Envelope{Type: "类型", ID: "msgType"}},
		{Envelope: Envelope{ID: "x", Parse: func(Message) (string, []byte, error) { return "", nil, nil }}},
		{Subscriptions: Subscriptions{Batch: 1}}, {Subscriptions: Subscriptions{ConfirmTimeout: -1}},
		{Resume: Resume{SaveEvery: -1}}, {Resume: Resume{Position: PositionField("seq"), Order: PositionConsecutive, OnHandlerError: HandlerErrorRedeliver}},
	} {
		if err := New(cfg).cfgErr; err != nil {
			t.Error(err)
		}
	}
}

// noPositions is a PositionStore without any.
type noPositions struct{}

func (noPositions) Load() (map[string]string, error) { return nil, nil }
func (noPositions) Save(map[string]string) error     { return nil }

// The constants print as their documentation says, and what is none of them by its type and number.
func TestNamesOfConstants(t *testing.T) {
	for want, v := range map[string]fmt.Stringer{
		"MessageText": MessageText, "MessageBinary": MessageBinary, "MessageType(3)": MessageType(3),
		"opaque": PositionOpaque, "increasing": PositionIncreasing, "consecutive": PositionConsecutive, "PositionOrder(3)": PositionOrder(3), "PositionOrder(-1)": PositionOrder(-1),
		"continue": HandlerErrorContinue, "redeliver": HandlerErrorRedeliver, "HandlerErrorPolicy(2)": HandlerErrorPolicy(2),
		"disabled": CompressionDisabled, "context-takeover": CompressionContextTakeover, "no-context-takeover": CompressionNoContextTakeover, "CompressionMode(3)": CompressionMode(3),
		"wanted": SubscriptionWanted, "sent": SubscriptionSent, "active": SubscriptionActive, "refused": SubscriptionRefused, "SubscriptionState(4)": SubscriptionState(4),
		"reject-new": RejectNew, "drop-oldest": DropOldest, "Overflow(2)": Overflow(2),
		"CONNECTING": Connecting, "OPEN": Open, "CLOSING": Closing, "CLOSED": Closed, "ReadyState(4)": ReadyState(4),
		"hook": PhaseHook, "dial": PhaseDial, "handshake": PhaseHandshake, "open": PhaseOpen, "Phase(4)": Phase(4),
		"local": Local, "remote": Remote, "network": Network, "Initiator(3)": Initiator(3),
	} {
		if got := v.String(); got != want {
			t.Errorf("%T %v prints as %q, want %q", v, v, got, want)
		}
	}
}
