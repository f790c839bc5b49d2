package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/wsnotify/wsnotify"
)

// access holds the token between attempts.
type access struct {
	fetch func(ctx context.Context, url string) (string, error)

	mu    sync.Mutex
	token string // empty before the first
	fresh bool   // it was fetched for this very attempt
}

// BeforeDial runs before every attempt.
func (a *access) BeforeDial(ctx context.Context, req *wsnotify.DialRequest) error {
	token := a.current()
	refused := req.Last != nil && req.Last.HTTPStatus == http.StatusUnauthorized
	fresh := token == "" || refused
	if fresh {
		var err error
		if token, err = a.fetch(ctx, req.URL.String()); err != nil {
			return fmt.Errorf("fetching a token: %w", err)
		}
	}
	a.set(token, fresh)
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// ShouldReconnect is wsnotify.FailFast, which stops on a 401, but for the one
// that BeforeDial can cure: a fresh token that is refused is final.
func (a *access) ShouldReconnect(f wsnotify.Failure) bool {
	if f.HTTPStatus == http.StatusUnauthorized {
		return !a.isFresh()
	}
	return wsnotify.FailFast(f)
}

func (a *access) current() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token
}

func (a *access) isFresh() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.fresh
}

func (a *access) set(token string, fresh bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.token, a.fresh = token, fresh
}

// fetchToken asks the server of the address for a token, at /token.
func fetchToken(ctx context.Context, address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	scheme := map[string]string{"ws": "http", "wss": "https"}[u.Scheme]
	u = &url.URL{Scheme: scheme, Host: u.Host, Path: "/token"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("the server answered with %s", resp.Status)
	}
	token, err := io.ReadAll(io.LimitReader(resp.Body, 4096))
	return string(token), err
}
