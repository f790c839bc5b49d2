'use strict';
// A GraphQL server of graphql-ws: a query, a mutation that is told of, and a
// subscription that begins where the client says.
const fs = require('fs');
const { buildSchema } = require('graphql');
const { useServer } = require('graphql-ws/use/ws');
const { WebSocketServer } = require('ws');

const options = JSON.parse(process.argv[2]);
const tell = (line) => fs.writeSync(1, JSON.stringify(line) + '\n');

const schema = buildSchema(`
  type Query { sum(a: Int!, b: Int!): Int! }
  type Mutation { do(n: Int!, hold: Boolean!): Int! }
  type Subscription { count(from: Int!): Int!, topic(key: String!): String! }
`);

const roots = {
  query: { sum: ({ a, b }) => a + b },
  mutation: {
    do: ({ n, hold }) => {
      tell({ event: 'do', text: String(n) });
      return hold ? new Promise(() => {}) : n;
    },
  },
  subscription: {
    // A topic says its name, and nothing more; "no" is refused.
    topic: async function* ({ key }) {
      tell({ event: 'join', text: key });
      if (key === 'no') throw new Error('forbidden');
      yield { topic: key };
      await new Promise(() => {});
    },
    count: async function* ({ from }) {
      tell({ event: 'subscribe', text: String(from) });
      for (let n = from; ; n++) {
        yield { count: n };
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  },
};

const wss = new WebSocketServer({ host: options.host, port: options.port, path: '/graphql' });
useServer({
  schema,
  roots,
  onConnect: ({ connectionParams }) => connectionParams && connectionParams.token === 'secret',
}, wss);
wss.on('connection', (ws) => {
  tell({ event: 'open' });
  // graphql-transport-ws lets a server ask with a message.
  const pings = setInterval(() => ws.readyState === 1 && ws.send('{"type":"ping"}'), 200);
  ws.on('message', (data) => data.toString() === '{"type":"pong"}' && tell({ event: 'pong' }));
  ws.on('close', (code, reason) => { clearInterval(pings); tell({ event: 'close', code, text: reason.toString() }); });
});
wss.on('listening', () => tell({ event: 'listening' }));
process.on('SIGUSR2', () => wss.clients.forEach((ws) => ws.terminate()));
