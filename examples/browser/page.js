const go = new Go()
WebAssembly.instantiateStreaming(fetch('/page.wasm'), go.importObject).then(({ instance }) => go.run(instance))
