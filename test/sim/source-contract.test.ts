import type { Row, TableId, TableSchema } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import type { ContractRow, SourceWrite } from '@nanosync/testkit';
import { describeSource } from '@nanosync/testkit';
import type { Write } from './model-database.ts';
import { ModelDatabase } from './model-database.ts';
import { openModelSource } from './model-source.ts';

const TABLES = 20;
/** The place of `body`. */
const BODY = 2;

describeSource('model', async () => {
  const schemas = Array.from({ length: TABLES }, (_, index) => schemaOf(tableIdOf('public', `t${index}`)));
  const db = new ModelDatabase(schemas);
  let tables = 0;
  return {
    // Virtual time stands still unless a test moves it; reads here take no time at all.
    open: async () => openModelSource(db, { ...systemClock(), sleep: async () => undefined }).source,
    table: async () => (schemas[tables++] as TableSchema).table,
    commit: async (table, writes) => db.commit(writes.flatMap((write) => writesOf(table, write))),
    rewrite: async (table) => db.rewrite(table),
    [Symbol.asyncDispose]: async () => undefined,
  };
});

function schemaOf(table: TableId): TableSchema {
  const columns = [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'name', type: { kind: 'text' } },
    { name: 'body', type: { kind: 'text' } },
  ] as const;
  return { table, columns, key: ['id'] };
}

function writesOf(table: TableId, write: SourceWrite): Write[] {
  switch (write.kind) {
    case 'truncate':
      return [{ kind: 'truncate', table }];
    case 'insert':
      return [{ kind: 'put', table, row: rowOf(write.row) }];
    case 'delete':
      return [{ kind: 'delete', table, row: rowOf(write.row) }];
    case 'rename':
      return [{ kind: 'put', table, row: rowOf(write.row), untouched: [BODY] }];
    case 'key':
      return [
        { kind: 'delete', table, row: rowOf(write.from) },
        { kind: 'put', table, row: rowOf(write.row) },
      ];
  }
}

function rowOf({ id, name, body }: ContractRow): Row {
  return [BigInt(id), name, body];
}
