import { expect, test } from 'vitest';
import { startPostgres } from './postgres-server.ts';

test('a server starts on a free port, restarts on its data and ends', async () => {
  const server = await startPostgres();
  const before = server.dsn();
  await server.restart('immediate');
  expect(server.dsn()).toBe(before);
  await server.stop();
});
