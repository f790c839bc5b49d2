package h2

func serveGo() {}
