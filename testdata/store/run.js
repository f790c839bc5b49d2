// Runs the store of docs/from-the-browser-store.md, as it stands there, with a
// WebSocket, timers and a console of its own. On stdin: {code, scripts,
// messages}. On stdout: what became of each script and of each message.
'use strict'

const { code, scripts, messages } = JSON.parse(require('fs').readFileSync(0, 'utf8'))

// world is one page: a clock that stands still until it is told to go on.
function world() {
  const w = { now: 0, due: [], dials: [], pings: [], said: [], shown: [], sockets: [], up: true }
  let ids = 0
  const at = (delay, run, every) => {
    w.due.push({ id: ++ids, time: w.now + delay, run, every })
    return ids
  }
  w.setTimeout = (run, ms) => at(ms, run)
  w.setInterval = (run, ms) => at(ms, run, ms)
  w.clearTimeout = w.clearInterval = (id) => {
    w.due = w.due.filter((d) => d.id !== id)
  }
  // The earliest first, and of those the one that was asked for first.
  w.runUntil = (time) => {
    for (;;) {
      const next = w.due.reduce((a, b) => (b.time <= time && (!a || b.time < a.time) ? b : a), null)
      if (!next) break
      w.now = next.time
      if (next.every) next.time += next.every
      else w.due = w.due.filter((d) => d !== next)
      next.run()
    }
    w.now = time
  }

  w.WebSocket = class {
    constructor(url) {
      this.url = url
      this.readyState = 0
      w.dials.push(w.now / 1000)
      w.sockets.push(this)
      if (!w.up) at(0, () => this.end())
      else
        at(0, () => {
          if (this.readyState !== 0) return
          this.readyState = 1
          this.onopen && this.onopen({})
        })
    }
    send(text) {
      if (this.readyState === 0) throw new DOMException('Still in CONNECTING state', 'InvalidStateError')
      if (this.readyState === 1 && !this.halfOpen && text === 'ping') w.pings.push(w.now / 1000)
    }
    close() {
      if (this.readyState > 1) return
      this.readyState = 2
      at(0, () => this.end())
    }
    end() {
      if (this.readyState === 3) return
      this.readyState = 3
      this.onclose && this.onclose({})
    }
  }
  w.console = { error: (text) => w.said.push(text), log() {} }
  w.notify = (title, text) => w.shown.push(`${title}: ${text}`)
  // What Pinia does with it, as far as one store and no component can tell.
  w.defineStore = (name, options) => () => Object.assign(options.state(), options.actions)
  const names = ['WebSocket', 'setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'console', 'notify', 'defineStore']
  w.store = new Function(...names, code + '\nreturn useNotificationStore()')(...names.map((n) => w[n]))
  return w
}

const play = {
  connect: (w) => w.store.connect('wss://example.com/ws/', 'ada'),
  disconnect: (w) => w.store.disconnect(),
  send: (w) => w.store.sendMessage('hello'),
  stop: (w) => {
    w.up = false
    for (const s of w.sockets) if (s.readyState === 1) s.end()
  },
  start: (w) => (w.up = true),
  drop: (w) => w.sockets.at(-1).end(),
  halfOpen: (w) => (w.sockets.at(-1).halfOpen = true),
}

console.log(
  JSON.stringify({
    scripts: scripts.map(({ steps, until }) => {
      const w = world()
      for (const { at, does } of steps) {
        w.runUntil(at * 1000)
        play[does](w)
      }
      w.runUntil(until * 1000)
      return { dials: w.dials, pings: w.pings, said: w.said, connected: w.store.isConnected }
    }),
    messages: messages.map((data) => {
      const w = world()
      play.connect(w)
      w.runUntil(0)
      try {
        w.sockets[0].onmessage({ data })
      } catch (err) {
        return 'throws ' + err.name
      }
      return w.shown.join(', ')
    }),
  }),
)
