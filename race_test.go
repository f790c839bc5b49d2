//go:build race

package wsnotify_test

// underRace says that memory is slow: large messages may be smaller.
const underRace = true
