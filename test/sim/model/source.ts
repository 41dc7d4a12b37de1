import type { Clock, ColumnRules, Source, SourceTable, TableId } from '@nanosync/core';
import { PipelineError, positionOf, sectionsOf } from '@nanosync/core';
import { createModelAnchor, passModelFence, tidyModel, verifyModelAnchor } from './anchor.ts';
import { openModelChanges } from './change-stream.ts';
import type { ModelDatabase } from './database.ts';
import { extendModelPublication } from './extension.ts';
import { sentSchema } from './kept-back.ts';
import { modelQueries } from './queries.ts';
import { readModelRange, WHOLE } from './read-range.ts';
import { readModelRows } from './rows-by-key.ts';
import type { ModelTable } from './table.ts';

/** One process's connections to the model; `cut` ends those that are open, as the server does when the process is gone. */
export interface ModelConnections {
  readonly source: Source;
  cut(): void;
}

/** Opens the model as a source. */
export function openModelSource(db: ModelDatabase, clock: Clock): ModelConnections {
  let connections = new AbortController();
  const cut = () => {
    const former = connections;
    connections = new AbortController();
    former.abort();
  };
  db.sessions.add(cut);
  const source: Source = {
    check: async () => reached(db, () => []),
    discover: async (tables, columns) => reached(db, () => tables.map((table) => discovered(db, table, columns?.[table]))),
    drift: async (_pipeline, tables) => reached(db, () => tables.flatMap(({ schema, storage }) => driftOf(db, schema.table, storage))),
    anchor: (pipeline, id, tables) => createModelAnchor(db, connections.signal, { pipeline, id, tables }),
    drop: async ({ origin: { slot } }) => reached(db, () => db.drop(slot ?? '')),
    tidy: (pipeline, anchor, still) => tidyModel(db, pipeline, anchor, still),
    extend: (_pipeline, tables, options) => extendModelPublication(db, clock, tables, { ...options, connection: connections.signal }),
    withdraw: async (_pipeline, tables, still) => {
      db.reach();
      const there = tables.filter((table) => db.isPublished(table));
      if (there.length === 0) return;
      if (!(await still())) throw new PipelineError('conflict', 'Tables are followed again meanwhile.');
      reached(db, () => db.alterPublication([], there));
    },
    verify: async (pipeline, anchor, published) => reached(db, () => verifyModelAnchor(db, pipeline, anchor, published)),
    release: async (pipeline, still) => {
      await tidyModel(db, pipeline, null, still);
      if (db.publication === undefined) return;
      if (!(await still())) throw new PipelineError('conflict', 'The publication is wanted again meanwhile.');
      reached(db, () => {
        db.publication = undefined;
      });
    },
    fence: (options) => passModelFence(db, clock, { ...options, connection: connections.signal }),
    partition: async (table, options) => reached(db, () => partition(db, table.schema.table, options)),
    openView: async () => db.views.open(db, connections.signal),
    readRange: (table, range, options) => readModelRange({ db, clock, connection: connections.signal, ...options }, table, range),
    queries: modelQueries(db, clock, () => connections.signal),
    readRows: async ({ schema }, keys) => reached(db, () => readModelRows(db, schema, keys)),
    changes: (options) => openModelChanges({ db, options, clock, connection: connections.signal }),
    mark: async (marker) => reached(db, () => db.mark(marker)),
    retention: async (anchor) =>
      reached(db, () => ({
        ...{ end: positionOf(db.end, 0n), state: db.slots.has(anchor.origin.slot ?? '') ? 'unlimited' : 'lost', setting: 'none' },
        ...{ keptBytes: 0, limitBytes: null, leftBytes: null },
      })),
    end: async () => reached(db, () => positionOf(db.end, 0n)),
    distance: (from, to) => Number((sectionsOf(to)[0] as bigint) - (sectionsOf(from)[0] as bigint)),
    [Symbol.asyncDispose]: async () => {
      db.sessions.delete(cut);
      cut();
    },
  };
  return { source, cut };
}

function reached<T>(db: ModelDatabase, answer: () => T): T {
  db.reach();
  return answer();
}

function discovered(db: ModelDatabase, table: string, rules: ColumnRules | undefined): SourceTable {
  const found = db.find(table);
  if (found === undefined) throw new PipelineError('config', `Table ${table} does not exist.`);
  const storage = rules === undefined ? found.storage : `${found.storage}/${rules.exclude.join()}`;
  return { schema: sentSchema(found.schema, rules), storage, estimatedRows: rowsIn(db, found) };
}

function rowsIn(db: ModelDatabase, table: ModelTable): number {
  return table.visible(db.snapshot()).length;
}

function driftOf(db: ModelDatabase, table: TableId, storage: string) {
  const found = db.find(table);
  if (found === undefined) return [{ table, reason: `Table ${table} is gone.` }];
  if (storage.split('/')[0] !== String(found.oid)) return [{ table, reason: `Table ${table} was dropped and made again.` }];
  if (!db.isPublished(table)) return [{ table, reason: `Table ${table} is no longer published as a whole.` }];
  return [];
}

/** Page ranges as the real source makes them of a table's size: about equal, the last one open. */
function partition(
  db: ModelDatabase,
  id: TableId,
  { targetRows, whole }: { readonly targetRows: number; readonly whole: boolean },
): readonly string[] {
  if (whole) return [WHOLE];
  const table = db.find(id);
  const pages = table?.heap.pageCount ?? 0;
  if (table === undefined || pages === 0) return ['0:'];
  const perRange = Math.min(pages, Math.max(1, Math.floor((targetRows * pages) / Math.max(1, rowsIn(db, table)))));
  const ranges = Math.ceil(pages / perRange);
  const borders = Array.from({ length: ranges }, (_, range) => Math.floor((range * pages) / ranges));
  return borders.map((from, range) => `${from}:${borders[range + 1] ?? ''}`);
}
