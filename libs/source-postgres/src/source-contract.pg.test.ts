import type { TableId } from '@nanosync/core';
import type { SourceWrite } from '@nanosync/testkit';
import { describeSource, startPostgres } from '@nanosync/testkit';
import { connectTo } from './connection.ts';
import { openPostgresSource } from './source.ts';
import { quiet, realClock } from './test-context.ts';

for (const version of [15, 18] as const)
  describeSource(`PostgreSQL ${version}`, async () => {
    const server = await startPostgres({ version, settings: { max_replication_slots: '40', max_wal_senders: '40', autovacuum: 'off' } });
    const admin = await connectTo(server.dsn(), 'admin').open('test');
    let tables = 0;
    return {
      open: () => openPostgresSource({ dsn: server.dsn(), applicationName: 'nanosync', log: quiet, clock: realClock }),
      table: async () => {
        const name = `public.t${++tables}` as TableId;
        await admin.query(`CREATE TABLE ${name} (id bigint PRIMARY KEY, name text, body text)`);
        return name;
      },
      commit: async (table, writes) => {
        await admin.query('BEGIN');
        for (const write of writes) {
          const { text, values } = statement(table, write);
          await admin.query(text, values);
        }
        await admin.query('COMMIT');
      },
      rewrite: async (table) => void (await admin.query(`VACUUM FULL ${table}`)),
      [Symbol.asyncDispose]: async () => {
        await admin.end();
        await server.stop();
      },
    };
  });

function statement(table: TableId, write: SourceWrite): { readonly text: string; readonly values: unknown[] } {
  if (write.kind === 'truncate') return { text: `TRUNCATE ${table}`, values: [] };
  const { id, name, body } = write.row;
  switch (write.kind) {
    case 'insert':
      return { text: `INSERT INTO ${table} VALUES ($1, $2, $3)`, values: [id, name, body] };
    case 'delete':
      return { text: `DELETE FROM ${table} WHERE id = $1`, values: [id] };
    case 'rename':
      return { text: `UPDATE ${table} SET name = $2 WHERE id = $1`, values: [id, name] };
    case 'key':
      return { text: `UPDATE ${table} SET id = $2 WHERE id = $1`, values: [write.from.id, id] };
  }
}
