package wsnotify

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
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

func TestWrongConfigIsReportedByConnect(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Header":               {Header: http.Header{"a b": {"c"}}},
		"control character":    {Header: http.Header{"Authorization": {"secret\r\nX: y"}}},
		"Config.Subprotocols":  {Header: http.Header{"Sec-WebSocket-Protocol": {"c"}}},
		"set by the transport": {Header: http.Header{"Upgrade": {"c"}}},
		"is not a token":       {Subprotocols: []string{"a,b"}},
		"there twice":          {Subprotocols: []string{"a", "a"}},
		"Compression":          {Compression: 17},
		"StableAfter":          {StableAfter: -1},
		"Overflow":             {Outbox: Outbox{Overflow: 2}},
		"Envelope.Type: ":      {Envelope: Envelope{Type: "."}},
		"Envelope.ID: ":        {Envelope: Envelope{ID: "."}},
		"Content: \"\\xff\"":   {Envelope: Envelope{Content: "\xff"}},
		`both "kind"`:          {Envelope: Envelope{Type: "kind", Content: "kind"}},
		`both "content"`:       {Envelope: Envelope{Type: "content"}},
		"set either Parse":     {Envelope: Envelope{Type: "t", Parse: func(Message) (string, []byte, error) { return "", nil, nil }}},
		"Heartbeat.Text":       {Heartbeat: Heartbeat{Text: "\xff"}},

		"Subscriptions.Subscribe is nil, so nothing can be subscribed": {Subscriptions: Subscriptions{Unsubscribe: func([]string) (Message, error) { return Message{}, nil }}},
		"Subscribe is nil, so nothing can be subscribed; set it":       {Subscriptions: Subscriptions{Confirm: func(Message) ([]string, error) { return nil, nil }}},
		"Subscribe is nil, so nothing can":                             {Subscriptions: Subscriptions{Batch: 2}},
		"Subscriptions.Batch: -1 is negative":                          {Subscriptions: Subscriptions{Batch: -1}},
		"Resume.Position is nil, so nothing resumes":                   {Resume: Resume{Query: "after"}},
		"Position is nil, so nothing resumes; set it":                  {Resume: Resume{Order: PositionIncreasing}},
		"Position is nil, so nothing resumes; set":                     {Resume: Resume{OnGap: func(Gap) {}}},
		"Position is nil, so nothing resumes;":                         {Resume: Resume{OnHandlerError: HandlerErrorRedeliver}},
		"Position is nil, so nothing resumes":                          {Resume: Resume{Store: noPositions{}}},
		"Resume.Order: -1 is none":                                     {Resume: Resume{Position: PositionField("seq"), Order: -1}},
		"Resume.Order: 3 is none":                                      {Resume: Resume{Position: PositionField("seq"), Order: 3}},
		"Resume.OnHandlerError: 2 is neither":                          {Resume: Resume{Position: PositionField("seq"), OnHandlerError: 2}},
	} {
		c := New(cfg)
		err := c.Connect(t.Context(), "ws://localhost:1/", "")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", want, err)
		}
		if c.ReadyState() != Closed {
			t.Errorf("%s: %v", want, c.ReadyState())
		}
		<-c.Done()
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
