package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/wsnotify/wsnotify"
)

type request struct {
	Version string `json:"jsonrpc"`
	ID      int64  `json:"id"`
	Method  string `json:"method"`
	Params  any    `json:"params"`
}

type response[T any] struct {
	Result T
	Error  *struct {
		Code    int
		Message string
	}
}

var lastID atomic.Int64 // 0 is that of the subscription

// call sends a request and waits for its result.
func call[T any](ctx context.Context, client *wsnotify.Client, method string, params ...any) (T, error) {
	id := lastID.Add(1)
	answer, err := wsnotify.RequestJSON[response[T]](ctx, client, strconv.FormatInt(id, 10), request{"2.0", id, method, params})
	if err == nil && answer.Error != nil {
		err = fmt.Errorf("%s: %s (%d)", method, answer.Error.Message, answer.Error.Code)
	}
	return answer.Result, err
}

// subscribe makes the subscription of a new connection.
func subscribe(ctx context.Context, h *wsnotify.Handshake) (string, error) {
	text, err := json.Marshal(request{"2.0", 0, "chain_subscribe", []any{"blocks"}})
	if err != nil {
		return "", err
	}
	if err := h.Send(ctx, wsnotify.MessageText, text); err != nil {
		return "", err
	}
	msg, err := h.Receive(ctx)
	if err != nil {
		return "", err
	}
	var answer response[string]
	if err := json.Unmarshal(msg.Data, &answer); err != nil || answer.Result == "" {
		return "", fmt.Errorf("expected the name of a subscription, got %s", msg.Data)
	}
	return answer.Result, nil
}
