import type { DuckDBConnection } from '@duckdb/node-api';

/** The schema of everything that is ours. */
export const META = '_nanosync';

/** One value of a result row as DuckDB's JSON form gives it: 64-bit integers are text. */
export type ResultValue = string | number | boolean | null;

/** A name as SQL takes it. DuckDB compares names without regard to case even when they are quoted. */
export function name(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`;
}

/** A text literal, or NULL. */
export function text(value: string | null): string {
  return value === null ? 'NULL' : `'${value.replaceAll("'", "''")}'`;
}

/** An integer literal; refuses what is none. */
export function int(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError('not an integer');
  return String(value);
}

/** Runs a statement and returns how many rows it changed. */
export async function run(connection: DuckDBConnection, sql: string): Promise<number> {
  return (await connection.run(sql)).rowsChanged;
}

/** Runs a query and returns its rows as objects by column name. */
export async function query(connection: DuckDBConnection, sql: string): Promise<Record<string, ResultValue>[]> {
  return (await connection.runAndReadAll(sql)).getRowObjectsJson() as Record<string, ResultValue>[];
}
