// Package wsnotify is a WebSocket client for notifications that stays connected.
package wsnotify
