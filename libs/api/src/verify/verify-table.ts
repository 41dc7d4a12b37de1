import type { Row, TableSchema } from '@nanosync/core';
import { keyIndexes } from '@nanosync/core';
import { cellJson } from '../cell-json.ts';
import type { PassParts } from './passes.ts';
import { candidatesOf, firstPass } from './passes.ts';
import type { CellsByName, Difference, DifferenceKind, TableVerified } from './ports.ts';
import { RowForm } from './row-form.ts';
import type { Settled } from './settle.ts';
import { settle } from './settle.ts';
import { waitUntilApplied } from './wait-applied.ts';

/** Compares a table by key and column. Differences are told to the listener as they are found, so many as are to be listed. */
export async function verifyTable(parts: PassParts): Promise<TableVerified> {
  const { ports, limits, table, listener } = parts;
  const began = ports.clock.monotonicMs();
  const form = new RowForm(table.schema);
  const position = limits.asIs ? null : await waitUntilApplied(parts);
  const first = await firstPass(parts);
  const candidates = await candidatesOf(parts, first);
  const counts: Record<DifferenceKind, number> = { different: 0, missing: 0, extra: 0, changing: 0, held: 0 };
  let listed = 0;
  for await (const one of settle(parts, candidates.keys)) {
    counts[one.kind]++;
    if (listed++ < limits.listed) listener.difference(differenceOf(form, one));
  }
  const { sourceRows, sinkRows, unsendable, digests } = first;
  const result = {
    table: table.schema.table,
    ...{ sourceRows, sinkRows, counts, unsendable, position },
    notSettled: candidates.beyond,
    buckets: { notExamined: candidates.notExamined, of: digests.buckets },
    seconds: (ports.clock.monotonicMs() - began) / 1000,
  };
  return { ...result, outcome: outcomeOf(result) };
}

/** Equal is said only when nothing is open; different only when a key is known to differ. */
function outcomeOf({ counts, unsendable, notSettled, buckets }: Omit<TableVerified, 'outcome'>): TableVerified['outcome'] {
  if (counts.different + counts.missing + counts.extra + unsendable > 0) return 'different';
  return counts.changing + counts.held + notSettled + buckets.notExamined > 0 ? 'undecided' : 'equal';
}

function differenceOf(form: RowForm, { kind, key, source, sink }: Settled): Difference {
  const { schema } = form;
  const keyCells = keyIndexes(schema).map((at, index) => [at, key[index] ?? null] as const);
  return {
    kind,
    key: Object.fromEntries(keyCells.map(([at, cell]) => named(schema, at, cell))),
    columns: source === null || sink === null ? [] : form.differing(source, sink),
    source: source === null ? null : byName(schema, source),
    sink: sink === null ? null : byName(schema, sink),
  };
}

function byName(schema: TableSchema, row: Row): CellsByName {
  return Object.fromEntries(row.map((cell, at) => named(schema, at, cell)));
}

function named(schema: TableSchema, at: number, cell: Row[number]) {
  const column = schema.columns[at] as TableSchema['columns'][0];
  return [column.name, typeof cell === 'symbol' ? null : cellJson(column.type, cell)] as const;
}
