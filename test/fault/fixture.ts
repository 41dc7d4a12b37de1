import type { PostgresOptions, PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import { afterAll, beforeAll } from 'vitest';
import { prepareTemplate } from './scenario.ts';

/** One server for all scenarios of a file, with the shop to copy. */
export function sharedServer(options: PostgresOptions = {}): () => PostgresServer {
  let server: PostgresServer | undefined;
  beforeAll(async () => {
    server = await startPostgres(options);
    await prepareTemplate(server);
  });
  afterAll(() => server?.stop());
  return () => server as PostgresServer;
}
