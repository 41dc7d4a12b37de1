import { connect, createServer, type Server, type Socket } from 'node:net';

/** What becomes of a broker's reply. */
export type Fate = 'pass' | 'drop';

/** A proxy before one broker that sees whole requests and replies; brokers in its answers are reached through it too. */
export interface ReplyProxy extends AsyncDisposable {
  readonly address: string;
  /** Decides about each reply; `count` counts the replies to this kind of request from 0. */
  fate: (api: number, count: number) => Fate;
}

/** Kinds of requests, as the protocol numbers them. */
export const API = { produce: 0, metadata: 3, findCoordinator: 10 } as const;

/** Starts a proxy before a broker on this machine. */
export async function startReplyProxy(broker: string): Promise<ReplyProxy> {
  const port = Number(broker.split(':')[1]);
  const sockets = new Set<Socket>();
  const counts = new Map<number, number>();
  const server = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port });
    const asked = new Map<number, number>();
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
        sockets.delete(socket);
      });
    }
    client.on(
      'data',
      frames((frame) => {
        asked.set(frame.readInt32BE(8), frame.readInt16BE(4));
        upstream.write(frame);
      }),
    );
    upstream.on(
      'data',
      frames((frame) => {
        const api = asked.get(frame.readInt32BE(4)) ?? -1;
        const count = counts.get(api) ?? 0;
        counts.set(api, count + 1);
        if (api === API.metadata || api === API.findCoordinator) replacePort(frame, port, portOf(server));
        if (proxy.fate(api, count) === 'pass') client.write(frame);
      }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: ReplyProxy = {
    address: `127.0.0.1:${portOf(server)}`,
    fate: () => 'pass',
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return proxy;
}

/** Cuts a stream into messages: four bytes of length, then so many bytes. */
function frames(take: (frame: Buffer) => void): (data: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (data) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const end = 4 + rest.readInt32BE(0);
      take(Buffer.from(rest.subarray(0, end)));
      rest = rest.subarray(end);
    }
  };
}

/** A broker's port is a number of four bytes behind its host. */
function replacePort(frame: Buffer, from: number, to: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(from);
  for (let at = frame.indexOf(bytes); at >= 0; at = frame.indexOf(bytes, at + 4)) frame.writeInt32BE(to, at);
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
