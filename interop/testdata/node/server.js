'use strict';
// The test server on the package ws; goservers_test.go says what it does.
const fs = require('fs');
const http = require('http');
const http2 = require('http2');
const https = require('https');
const { WebSocket, WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2]);
const tell = (line) => fs.writeSync(1, JSON.stringify(line) + '\n');

const server = options.http2
  ? http2.createSecureServer({
      cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key), settings: { enableConnectProtocol: true },
    })
  : options.cert
  ? https.createServer({ cert: fs.readFileSync(options.cert), key: fs.readFileSync(options.key) })
  : http.createServer();
const wss = new WebSocketServer({
  ...(options.http2 ? { noServer: true } : { server }),
  perMessageDeflate: options.deflate ? { threshold: 0 } : false,
  handleProtocols: (offered) => (offered.has(options.subprotocol) ? options.subprotocol : false),
});

let conns = 0;
wss.on('connection', (ws, request) => {
  const conn = ++conns;
  tell({ event: 'open', conn, text: request.url });
  ws.on('message', (data, isBinary) => {
    if (isBinary) {
      ws.send(data, { binary: true });
      return;
    }
    const text = data.toString();
    tell({ event: 'text', conn, text: text.slice(0, 40) });
    if (text === 'ping') {
      ws.send('pong');
    } else if (text.startsWith('say ')) {
      ws.send(text.slice(4));
    } else if (text.startsWith('close ')) {
      const [, code, reason] = /^close (\d+) (.*)$/.exec(text);
      ws.close(Number(code), reason);
    }
  });
  ws.on('error', () => {});
  ws.on('close', (code, reason) => tell({ event: 'close', conn, code, text: reason.toString() }));
});

// RFC 8441: a stream is accepted with 200, and is the socket then.
if (options.http2) {
  server.on('stream', (stream, headers) => {
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 400 }, { endStream: true });
      return;
    }
    stream.respond({ ':status': 200, ...(options.subprotocol ? { 'sec-websocket-protocol': options.subprotocol } : {}) });
    const ws = new WebSocket(null, undefined, { autoPong: true });
    ws.setSocket(stream, Buffer.alloc(0), { maxPayload: 100 << 20, skipUTF8Validation: false, allowSynchronousEvents: true });
    wss.clients.add(ws);
    ws.on('close', () => wss.clients.delete(ws));
    wss.emit('connection', ws, { url: headers[':path'] });
  });
}

process.on('SIGTERM', () => {
  server.close();
  let open = wss.clients.size;
  if (open === 0) process.exit(0);
  for (const ws of wss.clients) {
    ws.on('close', () => { if (--open === 0) process.exit(0); });
    ws.close(1001, 'restart');
  }
  setTimeout(() => process.exit(0), 2000);
});

server.listen(options.port, options.host, () => tell({ event: 'listening' }));
