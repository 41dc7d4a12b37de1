import type { SourceTable, TableId } from '@nanosync/core';
import { PipelineError, splitTableId } from '@nanosync/core';
import type { Client } from 'pg';
import type { Sending } from './column-rules.ts';
import { AS_IT_IS, sentColumns, withRules } from './column-rules.ts';
import type { TableStorage } from './storage.ts';
import { formatStorage } from './storage.ts';
import { replicatedColumns, tableFacts } from './table-facts.ts';
import type { TableUser } from './table-fitness.ts';
import { keyOf, tableProblems } from './table-fitness.ts';
import { tableSize } from './table-size.ts';

/** The tables as they are planned: columns, key, storage and an estimate of the rows. Throws `config` for the first unfit one. */
export async function discoverTables(
  client: Client,
  at: TableUser,
  tables: readonly string[],
  sending: Sending = AS_IT_IS,
): Promise<SourceTable[]> {
  const found: SourceTable[] = [];
  for (const table of tables) found.push(await discoverTable(client, at, table, sending));
  return found;
}

async function discoverTable(client: Client, at: TableUser, table: string, sending: Sending): Promise<SourceTable> {
  const rules = sending.columns[table];
  const { schema, name } = nameParts(table);
  const facts = await tableFacts(client, schema, name);
  const [problem] = tableProblems(table, at, facts, rules);
  if (problem !== undefined) throw new PipelineError('config', problem.what, { hint: problem.cure });
  const key = facts === undefined ? undefined : keyOf(facts);
  if (facts === undefined || key === undefined) throw new PipelineError('defect', `Table ${table} has no problem and no key.`);
  const columns = withRules(replicatedColumns(facts.columns), rules, sending.hasher);
  const storage: TableStorage = { oid: facts.oid, filenode: facts.filenode, columns, key, replicaIdentity: facts.replicaIdentity };
  const keyNames = key.map((attnum) => columns.find((column) => column.attnum === attnum)?.name ?? '');
  const { rows } = await tableSize(client, schema, name);
  return {
    schema: { table: table as TableId, columns: sentColumns(storage).map(({ name, type }) => ({ name, type })), key: keyNames },
    storage: formatStorage(storage),
    estimatedRows: Math.round(rows),
  };
}

/** The halves of `schema.table`; throws `config` for anything else. */
export function nameParts(table: string): { readonly schema: string; readonly name: string } {
  try {
    return splitTableId(table);
  } catch {
    throw new PipelineError('config', `"${table}" does not name a table.`, {
      hint: 'Write it as schema.table, for example public.orders.',
    });
  }
}
