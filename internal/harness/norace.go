//go:build !race

package harness

// UnderRace says that the race detector runs: memory is slow, and large
// messages may be smaller.
const UnderRace = false
