import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startPostgres } from './postgres-server.ts';

test('a server starts on a free port, restarts on its data and ends', async () => {
  const server = await startPostgres();
  const before = server.dsn();
  await server.restart('immediate');
  expect(server.dsn()).toBe(before);
  await server.stop();
});

test.for([15, 18] as const)('version %i starts, too', async (version) => {
  await using server = await startPostgres({ version });
  expect(execFileSync(join(server.bin, 'postgres'), ['--version'], { encoding: 'utf8' })).toMatch(`(PostgreSQL) ${version}.`);
});

test('a server that cannot start for a while is started again as soon as it can', async () => {
  await using server = await startPostgres();
  await server.halt();
  // Somebody else has its port for now.
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(server.port, '127.0.0.1', resolve));
  const starting = server.start();
  const first = await Promise.race([starting.then(() => 'started'), setTimeout(1500, 'not yet')]);
  await new Promise((resolve) => other.close(resolve));
  await starting;
  expect(first).toBe('not yet');
});
