import type { Row, TableId, TableSchema } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import type { ContractRow, SourceWrite } from '@nanosync/testkit';
import { describeSource } from '@nanosync/testkit';
import { expect } from 'vitest';
import { randomOf } from '../../shared/random.ts';
import { ModelDatabase } from './database.ts';
import { openModelSource } from './source.ts';
import type { ModelTransaction } from './transaction.ts';

const TABLES = 20;
/** Reads here take no time at all. */
const clock = { ...systemClock(), sleep: async () => undefined };

for (const seed of [1, 2, 3])
  describeSource(`model, seed ${seed}`, async () => {
    const schemas = Array.from({ length: TABLES }, (_, index) => schemaOf(tableIdOf('public', `t${index}`)));
    const db = new ModelDatabase({ schemas, random: randomOf(seed), clock, largeChars: 2000 });
    let tables = 0;
    return {
      open: async () => openModelSource(db, clock).source,
      table: async () => (schemas[tables++] as TableSchema).table,
      commit: async (table, writes) => {
        const transaction = db.begin();
        for (const write of writes) expect(run(transaction, table, write)).toBe('done');
        transaction.commit();
        transaction.becomeVisible();
      },
      rewrite: async (table) => expect(db.rewrite(table)).toBe(true),
      [Symbol.asyncDispose]: async () => undefined,
    };

    /** `rename` keeps the body as it is. */
    function run(transaction: ModelTransaction, table: TableId, write: SourceWrite): string {
      switch (write.kind) {
        case 'truncate':
          return transaction.truncate(table);
        case 'insert':
          return transaction.insert(table, rowOf(write.row));
        case 'delete':
          return transaction.delete(table, rowOf(write.row));
        case 'rename':
          return transaction.update(table, rowOf(write.row), rowOf(write.row));
        case 'key':
          return transaction.update(table, rowOf(write.from), rowOf(write.row));
      }
    }
  });

function schemaOf(table: TableId): TableSchema {
  const columns = [
    { name: 'id', type: { kind: 'int64' } },
    { name: 'name', type: { kind: 'text' } },
    { name: 'body', type: { kind: 'text' } },
  ] as const;
  return { table, columns, key: ['id'] };
}

function rowOf({ id, name, body }: ContractRow): Row {
  return [BigInt(id), name, body];
}
