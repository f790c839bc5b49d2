package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/wsnotify/wsnotify"
)

// tokens keeps a token until the server refuses it.
type tokens struct {
	fetch func(context.Context) (string, error)

	mu    sync.Mutex
	token string
}

// BeforeDial runs before every attempt. An error fails the attempt, and the
// next one tries again.
func (t *tokens) BeforeDial(ctx context.Context, req *wsnotify.DialRequest) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := req.Last != nil && req.Last.HTTPStatus == http.StatusUnauthorized
	if t.token == "" || refused {
		token, err := t.fetch(ctx)
		if err != nil {
			return err
		}
		t.token = token
	}
	req.Header.Set("Authorization", "Bearer "+t.token)
	return nil
}

// fetchFrom returns a function that gets a token from the address.
func fetchFrom(address string) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return "", fmt.Errorf("%s: expected 200 OK, got %s", address, resp.Status)
		}
		token, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return string(token), err
	}
}
