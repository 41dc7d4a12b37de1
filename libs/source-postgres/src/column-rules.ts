import type { ColumnRules, ColumnType, Problem, TableColumnRules, TableSchema } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Hasher } from './hasher.ts';
import { UNKEYED } from './hasher.ts';
import type { StoredColumn, TableStorage } from './storage.ts';

/** What of a source's columns is sent, and how. */
export interface Sending {
  readonly columns: TableColumnRules;
  readonly hasher: Hasher;
}

/** Every column as it is. */
export const AS_IT_IS: Sending = { columns: {}, hasher: UNKEYED };

const TEXT: ColumnType = { kind: 'text' };

/** The columns with what the rules make of them: hashed ones are text to everybody but the source. */
export function withRules(columns: readonly StoredColumn[], rules: ColumnRules | undefined, hasher: Hasher): readonly StoredColumn[] {
  if (rules === undefined) return columns;
  return columns.map((column) => {
    if (rules.exclude.includes(column.name)) return { ...column, excluded: true };
    return rules.hash.includes(column.name) ? { ...column, type: TEXT, hashed: hasher.fingerprint } : column;
  });
}

/** The columns whose values leave the source, in the schema's order. */
export function sentColumns({ columns }: TableStorage): readonly StoredColumn[] {
  return columns.filter((column) => column.excluded !== true);
}

/** True when values of the table are kept back: then no row of it may be shown as the source sent it. */
export function keepsBack({ columns }: TableStorage): boolean {
  return columns.some((column) => column.excluded === true || column.hashed !== undefined);
}

/** Throws `table-changed` when columns were hashed under another key: equal values would be equal no more. */
export function requireSameKey({ table }: TableSchema, { columns }: TableStorage, hasher: Hasher): void {
  const reason = keyDifference(columns, hasher);
  if (reason !== undefined) throw new PipelineError('table-changed', `Table ${table} is not as it was planned: ${reason}.`);
}

/** Why the columns' hashes are not those of today's key, or undefined. */
export function keyDifference(columns: readonly StoredColumn[], hasher: Hasher): string | undefined {
  const other = columns.some(({ hashed }) => hashed !== undefined && hashed !== hasher.fingerprint);
  return other ? 'hash_key is not the one that its columns were hashed with' : undefined;
}

/** What is wrong with the rules of this table, whose key columns are these: both names in the pipelines file. */
export function ruleProblems(
  table: string,
  rules: ColumnRules | undefined,
  found: { readonly columns: readonly string[]; readonly key: readonly string[] },
): readonly Problem[] {
  const problems: Problem[] = [];
  for (const [rule, names] of Object.entries(rules ?? {}) as [keyof ColumnRules, readonly string[]][])
    for (const name of names) {
      const at = `source.columns of ${table}`;
      if (!found.columns.includes(name))
        problems.push({
          what: `Table ${table} has no column ${name} that could be replicated, which ${at} names under ${rule}.`,
          cure: `Correct ${at}; the table has ${found.columns.join(', ')}.`,
        });
      else if (found.key.includes(name))
        problems.push({
          what: `Column ${name} is part of the key of table ${table}, by which every row is found.`,
          cure: `Take it out of ${rule} in ${at}, or give the table another key: ALTER TABLE ... REPLICA IDENTITY USING INDEX ...;`,
        });
    }
  return problems;
}
