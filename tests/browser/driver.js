// Runs the page's program, in a browser or in Node, and hands it the orders of
// the test that serves this file.
async function drive(base) {
  globalThis.listening = 0 // listeners that were added and not removed
  const watched = globalThis.document ? [['addEventListener', 1], ['removeEventListener', -1]] : [] // Node uses them itself
  for (const [name, step] of watched) {
    const original = EventTarget.prototype[name]
    EventTarget.prototype[name] = function (...args) {
      listening += step
      return original.apply(this, args)
    }
  }
  const go = new Go()
  globalThis.goProgram = go
  const wasm = await WebAssembly.instantiate(await (await fetch(base + '/page.wasm')).arrayBuffer(), go.importObject)
  go.run(wasm.instance)
  for (;;) {
    const order = await (await fetch(base + '/order')).json()
    if (!order) return
    const answer = text => fetch(base + '/answer/' + order.id, { method: 'POST', body: text })
    if (order.script) {
      try {
        answer(JSON.stringify({ Value: await (0, eval)(order.script) }))
      } catch (e) {
        answer(JSON.stringify({ Err: String(e) }))
      }
    } else {
      obey(JSON.stringify(order.order), answer)
    }
  }
}
