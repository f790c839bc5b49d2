package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/time/rate"

	"github.com/wsnotify/wsnotify"
)

// streams holds the flags of what goes on over reconnects: subscriptions, positions and a rate.
type streams struct {
	keys    []string
	message string
	field   string
	query   string
	order   string
	rate    frequency
}

const keysMessage = `{"op":"subscribe","channels":[KEYS]}`

// orders are the words for --resume-order.
var orders = []string{"opaque", "increasing", "consecutive"}

func (s *streams) flags(cmd *cobra.Command) {
	s.order = orders[0]
	f := cmd.Flags()
	f.StringArrayVar(&s.keys, "subscribe", nil, "subscribe to this `KEY` on each connection; may be repeated")
	f.StringVar(&s.message, "subscribe-message", keysMessage, "`message` that subscribes: KEYS stands for all keys with commas between them,\nKEY for one key in a message of its own; both are quoted where the message is JSON")
	f.StringVar(&s.field, "resume-field", "", "top-level JSON `field` with the number or id of a message: after a reconnect ask\nfor what is behind the last one, and drop duplicates")
	f.StringVar(&s.query, "resume-query", "after", "with --resume-field, query `parameter` that asks the server for what is behind a message")
	f.Var(choice{&s.order, orders}, "resume-order", "with --resume-field: opaque ids, increasing numbers, or consecutive ones, whose gaps are reported")
	cmd.RegisterFlagCompletionFunc("resume-order", cobra.FixedCompletions(orders, cobra.ShellCompDirectiveNoFileComp))
	s.rate.flag(f)
}

// config adds to cfg what the flags say.
func (s *streams) config(cmd *cobra.Command, cfg *wsnotify.Config) error {
	for _, need := range []struct{ flag, needs string }{
		{"subscribe-message", "subscribe"}, {"resume-query", "resume-field"}, {"resume-order", "resume-field"},
	} {
		if cmd.Flags().Changed(need.flag) && !cmd.Flags().Changed(need.needs) {
			return usage("--%s is of no use without --%s", need.flag, need.needs)
		}
	}
	if len(s.keys) > 0 {
		subscribe, batch, err := subscribeMessage(s.message, s.keys)
		if err != nil {
			return err
		}
		cfg.Subscriptions.Subscribe, cfg.Subscriptions.Batch = subscribe, batch
	}
	if s.field != "" {
		cfg.Resume = wsnotify.Resume{Position: wsnotify.PositionField(s.field), Query: s.query}
		switch s.order {
		case orders[1]:
			cfg.Resume.Order = wsnotify.PositionIncreasing
		case orders[2]:
			cfg.Resume.Order = wsnotify.PositionConsecutive
		}
	} else if cmd.Flags().Changed("resume-field") {
		return usage("--resume-field: the name of the field is empty")
	}
	s.rate.limit(cfg)
	return nil
}

// notes has the client report what goes wrong with any of it: a gap, a server that does not resume, a
// position that is no number.
func (s *streams) notes(say func(string, ...any), cfg *wsnotify.Config) {
	if len(s.keys) == 0 && s.field == "" {
		return
	}
	if cfg.Resume.Order == wsnotify.PositionConsecutive {
		cfg.Resume.OnGap = func(g wsnotify.Gap) { say("%v", g) }
	}
	before := cfg.OnError
	cfg.OnError = func(err error) {
		if before != nil {
			before(err)
		}
		var behind *wsnotify.ResumeError
		var key *wsnotify.SubscriptionError
		switch {
		case errors.As(err, &behind):
			say("asked for what is behind %s, the server began with %s: its messages are dropped until they are past that; if it counts anew, start again",
				behind.Asked, behind.Got)
		case errors.As(err, &key):
			say("%s", plain(err))
		case strings.Contains(err.Error(), "Resume.Position"): // it is no number
			say("--resume-field %s: a message has no decimal number there, which --resume-order %s needs", s.field, s.order)
		}
	}
}

// subscribe has a client want the keys, which it remembers over reconnects.
func (s *streams) subscribe(client *wsnotify.Client) {
	if len(s.keys) > 0 {
		client.Subscribe(s.keys...) // which fails without Config.Subscriptions alone
	}
}

// placeholder is what stands for keys in a message.
var placeholder = regexp.MustCompile(`\bKEYS?\b`)

// subscribeMessage makes Subscriptions.Subscribe and Subscriptions.Batch of a message with KEY or KEYS
// in it.
func subscribeMessage(message string, keys []string) (subscribe func([]string, func(string) string) (wsnotify.Message, error), batch int, err error) {
	found := placeholder.FindAllString(message, -1)
	if len(found) == 0 {
		return nil, 0, usage("--subscribe-message %s: expected KEY or KEYS in it, as in %s", shorten(message, 200), keysMessage)
	}
	batch = len(keys)
	for _, name := range found {
		if name == "KEY" {
			batch = 1
		}
	}
	fill := func(keys []string, quote bool) string {
		words := make([]string, len(keys))
		for i, key := range keys {
			if words[i] = key; quote {
				words[i] = jsonString(key)
			}
		}
		return placeholder.ReplaceAllLiteralString(message, strings.Join(words, ","))
	}
	quote := json.Valid([]byte(fill(keys[:1], true)))
	return func(keys []string, _ func(string) string) (wsnotify.Message, error) {
		return wsnotify.Message{Type: wsnotify.MessageText, Data: []byte(fill(keys, quote))}, nil
	}, batch, nil
}

// jsonString quotes a text, and leaves <, > and & as they are.
func jsonString(text string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(text)
	return strings.TrimSuffix(b.String(), "\n")
}

// frequency is a number of messages in a time.
type frequency struct {
	n   int
	per time.Duration
}

func (v *frequency) flag(f *pflag.FlagSet) {
	f.Var(v, "rate", "send no more than `N/TIME` messages, such as 5/s, 100/10s or 20/m; N of them may go at once")
}

// limit has the client send no more than that.
func (v *frequency) limit(cfg *wsnotify.Config) {
	if v.per > 0 {
		cfg.Outbox.Limiter = rate.NewLimiter(rate.Every(v.per/time.Duration(v.n)), v.n)
	}
}

func (v *frequency) String() string {
	if v.per == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%v", v.n, v.per)
}
func (*frequency) Type() string { return "rate" }

func (v *frequency) Set(text string) error {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(number)
	if unit != "" && strings.Trim(unit[:1], "0123456789.") != "" { // 5/s is 5/1s
		unit = "1" + unit
	}
	per, wrong := time.ParseDuration(unit)
	if err != nil || wrong != nil || n < 1 || n > math.MaxInt32 || per < time.Duration(n) {
		return errors.New("expected a number of messages and a time, such as 5/s, 100/10s or 20/m")
	}
	v.n, v.per = n, per
	return nil
}
