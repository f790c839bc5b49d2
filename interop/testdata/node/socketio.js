'use strict';
// A socket.io server with a namespace, whose events are acknowledged, and that
// goes on with its events where the client says.
const fs = require('fs');
const { createServer } = require('http');
const { Server } = require('socket.io');

const options = JSON.parse(process.argv[2]);
const tell = (line) => fs.writeSync(1, JSON.stringify(line) + '\n');

const server = createServer();
const io = new Server(server, { transports: ['websocket'], pingInterval: 300, pingTimeout: 2000 });
io.engine.on('connection', (raw) => {
  tell({ event: 'open' });
  raw.on('close', (reason) => tell({ event: 'close', text: reason }));
  raw.on('packet', (packet) => packet.type === 'pong' && tell({ event: 'pong' }));
});
io.of('/news').on('connection', (socket) => {
  let n = socket.handshake.auth.from;
  tell({ event: 'subscribe', text: String(n) });
  const events = setInterval(() => socket.emit('count', n++), 20);
  socket.on('do', ({ n, hold }, acknowledge) => {
    tell({ event: 'do', text: String(n) });
    if (!hold) acknowledge(n);
  });
  socket.on('disconnect', () => clearInterval(events));
});
io.of('/rooms').on('connection', (socket) => {
  socket.on('join', (key, acknowledge) => {
    tell({ event: 'join', text: key });
    if (key === 'no') return acknowledge('forbidden', key);
    socket.join(key);
    acknowledge(null, key);
  });
});
server.listen(options.port, options.host, () => tell({ event: 'listening' }));
process.on('SIGUSR2', () => {
  for (const [, client] of io.engine.clients ? Object.entries(io.engine.clients) : []) client.transport.socket.terminate();
});
