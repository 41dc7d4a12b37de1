import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range that systems give to outgoing connections: one of those could take the port while its service is down. */
const RANGE = [15_000, 32_000] as const;

/** A TCP port of 127.0.0.1 that is free, and that no outgoing connection will be given. */
export async function servicePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = randomInt(...RANGE);
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port between ${RANGE[0]} and ${RANGE[1]} on 127.0.0.1`);
}

/** Whether nobody listens on a port of 127.0.0.1. */
export async function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
