import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Column, GenerationId, Log, Row, Sink, SinkChange, TableSchema } from '@nanosync/core';
import { at, endOf, rowBatchOf } from '@nanosync/testkit';
import { openDuckdbSink, queryDuckdb } from './duckdb-sink.ts';

/** A log that says nothing. */
export const quiet: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  with: () => quiet,
};

/** A folder of its own for a test, removed afterwards, with the path of a DuckDB file in it. */
export function scratch(file = 'warehouse.duckdb') {
  const folder = mkdtempSync(join(tmpdir(), 'nanosync-duckdb-'));
  const options = { path: join(folder, file), log: quiet, threads: 1 };
  return {
    folder,
    options,
    open: () => openDuckdbSink(options),
    query: (sql: string) => queryDuckdb(options, sql),
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** A table `public.t` with these columns, the first one its key. */
export function tableOf(...columns: readonly Column[]): TableSchema {
  return { table: 'public.t' as TableSchema['table'], columns, key: [columns[0]?.name ?? ''] };
}

/** The epoch that the helpers below load and change. */
export function generationOf(schema: TableSchema, epoch = 'e1'): GenerationId {
  return { pipeline: 'shop', table: schema.table, epoch };
}

/** Loads rows as one partition and builds them. */
export async function load(sink: Sink, schema: TableSchema, rows: readonly Row[], epoch = 'e1'): Promise<number> {
  const [from = 0] = await sink.claimRows('shop', 'loader', 'rows-topic', 1);
  await sink.stage({
    pipeline: 'shop',
    owner: 'loader',
    moves: [{ busPartition: 0, from, to: from + 1 }],
    batches: [rowBatchOf(schema, rows, { epoch, partition: 0, attempt: '0123456789abcdef', batch: 0 })],
    ends: [endOf(schema, { epoch, partition: 0, attempt: '0123456789abcdef', batches: 1, rows: rows.length })],
  });
  return build(sink, schema, epoch);
}

/** Builds what is staged as partition 0. */
export async function build(sink: Sink, schema: TableSchema, epoch = 'e1'): Promise<number> {
  const start = [{ next: 0, session: 1 }];
  const built = {
    generation: generationOf(schema, epoch),
    anchor: 'anchor',
    schema,
    partitions: 1,
    l0: at(100, 0),
    topicId: 'topic',
    start,
  };
  return (await sink.build(built)).rows;
}

/** Applies one batch on bus partition 0, under a token claimed for it. */
export async function applyTo(sink: Sink, schema: TableSchema, ...changes: readonly SinkChange[]) {
  const generation = generationOf(schema);
  const { progress } = await sink.claim(generation, 'writer');
  const from = progress[0]?.next ?? 0;
  const last = changes.at(-1)?.event.position ?? at(100, 0);
  const moves = [{ busPartition: 0, from, to: from + changes.length, session: 1, last, floor: null }];
  return sink.apply({ generation, owner: 'writer', schema, moves, changes });
}
