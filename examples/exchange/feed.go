package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/wsnotify/wsnotify"
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

// feed is what the subscriptions have brought. Only callbacks use it.
type feed struct {
	out    io.Writer
	resync func(symbol string)
	books  map[string]*book
}

// request is a message of the server's protocol.
func request(op string, symbols []string) (wsnotify.Message, error) {
	text, err := json.Marshal(map[string]any{"op": op, "symbols": symbols})
	return wsnotify.Message{Data: text}, err
}

// begin forgets what came over another connection: every symbol begins with a
// snapshot.
func (f *feed) begin() { clear(f.books) }

func (f *feed) snapshot(t tick) {
	f.books[t.Symbol] = &book{whole: true, seq: t.Seq, price: t.Price}
	fmt.Fprintf(f.out, "%s %d (snapshot %d)\n", t.Symbol, t.Price, t.Seq)
}

func (f *feed) update(t tick) {
	b := f.books[t.Symbol]
	if b == nil || !b.whole || t.Seq <= b.seq { // of no use before a snapshot, and old ones never
		return
	}
	if want := b.seq + 1; t.Seq != want {
		b.whole = false
		fmt.Fprintf(f.out, "%s: %d is missing, got %d\n", t.Symbol, want, t.Seq)
		f.resync(t.Symbol)
		return
	}
	b.seq, b.price = t.Seq, t.Price
	fmt.Fprintf(f.out, "%s %d\n", t.Symbol, t.Price)
}
