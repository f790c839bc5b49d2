// Package interop holds tests of wsnotify against software of others: servers,
// with protocols of their own too, proxies, and a kernel that drops packets or
// stops a process. It is a module of its own, so that nobody who imports the
// client downloads any of it.
//
// A test whose software is missing is skipped and says what to install. With
// WSNOTIFY_INTEROP=must in the environment it fails instead, as in .ci/run.
package interop
