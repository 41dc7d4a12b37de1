import { createServer, connect as openSocket } from 'node:net';
import type { PostgresServer } from '@nanosync/testkit';

/** The head of BackendKeyData, in which a server names its process. */
const KEY_DATA = Buffer.from([0x4b, 0, 0, 0, 12]);

/** Listens on 127.0.0.1 as a pooler does as far as it matters: its greeting names a process id that it made up. */
export async function startFakePooler(target: PostgresServer): Promise<AsyncDisposable & { readonly port: number }> {
  const proxy = createServer((socket) => {
    const upstream = openSocket(target.port, target.host);
    upstream.on('data', (chunk: Buffer) => {
      const at = chunk.indexOf(KEY_DATA);
      if (at >= 0) chunk.writeUInt32BE(4242, at + 5);
      socket.write(chunk);
    });
    socket.on('data', (chunk) => upstream.write(chunk));
    socket.on('close', () => upstream.destroy()).on('error', () => upstream.destroy());
    upstream.on('close', () => socket.destroy()).on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as { port: number };
  return { port, [Symbol.asyncDispose]: () => new Promise((resolve) => proxy.close(() => resolve())) };
}
