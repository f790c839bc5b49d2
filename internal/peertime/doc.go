// Package peertime measures how long a peer has had to answer. Heartbeat,
// WriteTimeout and ConfirmTimeout all use it, so that they excuse the same
// things. Peer time stands still
//
//   - while this process was stopped (SIGSTOP, a frozen virtual machine, a
//     suspended laptop): a timer that fires late, or a wall clock that has
//     stepped ahead, shows that;
//   - while the reader waits for callbacks: the answer may be in the socket, and a
//     peer that can't write may not read either;
//   - while the peer's host acknowledges what was written before a mark, which a
//     slow line takes long for, and not what was written behind it: a host also
//     acknowledges for a process that hangs.
//
// There is one Clock for each connection, with one timer, which runs while
// somebody measures. A Watch waits for a sign of life; a Meter is a reading.
package peertime
