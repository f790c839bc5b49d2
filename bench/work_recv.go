package main

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"time"
)

func receiveRaw(size int, memory *handlers) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		var n atomic.Int64
		return receive(m, strconv.Itoa(size), &n, &handlers{keeps: memory.keeps, reuse: memory.reuse, raw: func(p []byte) {
			if len(p) == size {
				n.Add(1)
			}
		}})
	}
}

func receiveNotification(reuse bool) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		var n atomic.Int64
		return receive(m, "notification", &n, &handlers{reuse: reuse, notification: func(msgType, content string) {
			if msgType == notificationType && content != "" {
				n.Add(1)
			}
		}})
	}
}

// receiveNumbered takes notifications whose numbers go up by one, with Resume or without.
func receiveNumbered(resume bool) func(*measurement) (Result, error) {
	return func(m *measurement) (Result, error) {
		var n atomic.Int64
		return receive(m, "numbered", &n, &handlers{resume: resume, notification: func(msgType, content string) {
			if msgType == notificationType && content != "" {
				n.Add(1)
			}
		}})
	}
}

func receiveTyped(m *measurement) (Result, error) {
	var n atomic.Int64
	return receive(m, "typed", &n, &handlers{order: countOrders(&n)})
}

func receiveTypedOnce(m *measurement) (Result, error) {
	var n atomic.Int64
	return receive(m, "typed", &n, &handlers{orderOnce: countOrders(&n)})
}

func countOrders(n *atomic.Int64) func(order) {
	return func(o order) {
		if o.ID == orderID && o.Customer != "" && o.Price != 0 {
			n.Add(1)
		}
	}
}

// receive takes what the server blasts, and measures in the middle of it. The
// handlers count in n what arrived as it should, which in the end must be as
// much as the server has sent.
func receive(m *measurement, payload string, n *atomic.Int64, h *handlers) (Result, error) {
	return receiveFrom(m, fmt.Sprintf("/blast?id=%s&payload=%s", sessionID, payload), n, h)
}

func receiveFrom(m *measurement, path string, n *atomic.Int64, h *handlers) (Result, error) {
	t, err := m.target(path, false)
	if err != nil {
		return Result{}, err
	}
	c, err := m.lib.open(t, h)
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	if _, err := m.ask("/start", nil); err != nil {
		return Result{}, err
	}
	time.Sleep(m.Time / 5)
	mt, err := m.meter()
	if err != nil {
		return Result{}, err
	}
	before := n.Load()
	time.Sleep(m.Time)
	result := m.finish(mt, func() int64 { return n.Load() - before })
	sent, err := m.ask("/stop", nil)
	if err != nil {
		return Result{}, err
	}
	for deadline := time.Now().Add(drainTime); n.Load() < sent && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if got := n.Load(); got != sent {
		err = fmt.Errorf("%s with %s: %d of %d messages arrived", m.Work, m.Lib, got, sent)
	}
	return result, err
}
