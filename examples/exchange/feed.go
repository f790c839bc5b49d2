package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
)

// tick is a price of a symbol. The server numbers those of each.
type tick struct {
	Symbol string
	Seq    int64
	Price  int
}

// book is what is known of one symbol.
type book struct {
	whole bool // a snapshot has come, and each increment since
	seq   int64
	price int
}

// feed is the set of subscriptions, and what they have brought.
type feed struct {
	out  io.Writer
	send func(text []byte)

	mu    sync.Mutex
	books map[string]*book
}

func subscribe(symbols ...string) []byte {
	text, _ := json.Marshal(map[string]any{"op": "subscribe", "symbols": symbols})
	return text
}

// add subscribes to a symbol, on every connection from now on. Noted first and
// sent then, it is in time for the connection that is being made, too. Twice
// does no harm: the server sends another snapshot.
func (f *feed) add(symbol string) {
	f.mu.Lock()
	f.books[symbol] = &book{}
	f.mu.Unlock()
	f.send(subscribe(symbol))
}

// begin returns all symbols, of which a new connection knows nothing.
func (f *feed) begin() []string {
	f.mu.Lock()
	for _, b := range f.books {
		b.whole = false
	}
	f.mu.Unlock()
	return f.symbols()
}

func (f *feed) symbols() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.books))
}

func (f *feed) snapshot(t tick) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b := f.books[t.Symbol]; b != nil {
		*b = book{whole: true, seq: t.Seq, price: t.Price}
		fmt.Fprintf(f.out, "%s %d (snapshot %d)\n", t.Symbol, t.Price, t.Seq)
	}
}

func (f *feed) update(t tick) {
	f.mu.Lock()
	b := f.books[t.Symbol]
	if b == nil || !b.whole || t.Seq <= b.seq { // of no use before a snapshot, and old ones never
		f.mu.Unlock()
		return
	}
	if want := b.seq + 1; t.Seq != want {
		b.whole = false
		fmt.Fprintf(f.out, "%s: %d is missing, got %d\n", t.Symbol, want, t.Seq)
		f.mu.Unlock()
		f.send(subscribe(t.Symbol)) // for another snapshot
		return
	}
	b.seq, b.price = t.Seq, t.Price
	fmt.Fprintf(f.out, "%s %d\n", t.Symbol, t.Price)
	f.mu.Unlock()
}
