import { isDeepStrictEqual } from 'node:util';
import type { ChangeReader, ChangesOptions, Clock, Marker, Position, SourceEvent, TableId } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import type { PostgresServer } from '@nanosync/testkit';
import type { Client } from 'pg';
import { openChanges } from './change-reader.ts';
import type { Connect } from './connection.ts';
import { connectTo, queryJson, withConnection } from './connection.ts';
import { mark } from './marker.ts';
import { parseLsn, positionOfLsn } from './position.ts';
import type { StoredColumn } from './storage.ts';
import { formatStorage } from './storage.ts';
import { columnTypeOf } from './type-map.ts';

export const PIPELINE = 'p';
const SLOT = 'nanosync_slot_p';
const PUBLICATION = 'nanosync_pub_p';
const END: Marker = { kind: 'generation', pipeline: PIPELINE, table: tableIdOf('public', 'end'), epoch: 'end' };

/** Real time, for tests that run against a real server. */
export const clock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    }),
};

/** A database of its own with tables, publication and slot, and readers of its changes. */
export interface Capture extends AsyncDisposable {
  readonly connect: Connect;
  readonly client: Client;
  readonly slot: string;
  readonly publication: string;
  readonly tables: ChangesOptions['tables'];
  /** The slot's consistent point. */
  readonly l0: Position;
  sql(text: string): Promise<void>;
  /** One text cell. */
  cell(text: string): Promise<string>;
  open(options?: Partial<ChangesOptions>, time?: Clock): Promise<ChangeReader>;
  /** All events of what is committed by now, without idle events. */
  all(reader: ChangeReader): Promise<SourceEvent[]>;
  mark(marker: Marker): Promise<void>;
}

let databases = 0;

/** Makes a database, runs `setup`, then publication and slot for these tables of schema public. */
export async function captureOf(server: PostgresServer, setup: string, tables: readonly string[]): Promise<Capture> {
  const name = `d${process.pid}_${databases++}`;
  await withConnection(connectTo(server.dsn(), 'test'), 'setup', (client) => client.query(`CREATE DATABASE ${name}`));
  const connect = connectTo(server.dsn(name), 'nanosync');
  const slot = `${SLOT}_${name}`;
  const client = await connect.open('test');
  await client.query('SET search_path = public');
  await client.query(setup);
  await client.query(`CREATE PUBLICATION ${PUBLICATION} ${tables.length > 0 ? `FOR TABLE ${tables.join(', ')}` : ''}`);
  const made = await client.query<{ lsn: string }>(`SELECT lsn FROM pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  const l0 = positionOfLsn(parseLsn(made.rows[0]?.lsn ?? ''));
  const planned: ChangesOptions['tables'][number][] = [];
  for (const table of tables) planned.push(await plan(client, table));
  const ending = new AbortController();
  const readers: ChangeReader[] = [];
  return {
    connect,
    client,
    slot,
    publication: PUBLICATION,
    tables: planned,
    l0,
    sql: async (text) => void (await client.query(text)),
    cell: async (text) => Object.values((await client.query<Record<string, string>>(text)).rows[0] ?? {})[0] ?? '',
    open: async (options = {}, time = clock) => {
      const reader = await openChanges(
        connect,
        {
          pipeline: PIPELINE,
          anchor: { id: 'a', l0, origin: { slot, publication: PUBLICATION } },
          from: l0,
          tables: planned,
          complete: () => false,
          signal: ending.signal,
          ...options,
        },
        { clock: time },
      );
      readers.push(reader);
      return reader;
    },
    all: async (reader) => {
      await mark(connect, END);
      const events: SourceEvent[] = [];
      for (;;)
        for (const event of await nextOf(reader)) {
          const last = events.at(-1);
          if (event.kind === 'commit' && last?.kind === 'marker' && isDeepStrictEqual(last.marker, END)) return events.slice(0, -1);
          if (event.kind !== 'idle') events.push(event);
        }
    },
    mark: (marker) => mark(connect, marker),
    [Symbol.asyncDispose]: async () => {
      ending.abort();
      for (const reader of readers) await reader[Symbol.asyncDispose]();
      await client.end();
    },
  };
}

/** Plans a table as discovery does, with the columns and the identity that the tests need. */
async function plan(client: Client, table: string): Promise<ChangesOptions['tables'][number]> {
  const found = await queryJson<{
    oid: number;
    schema: string;
    name: string;
    identity: 'd' | 'i' | 'f' | 'n';
    columns: Omit<StoredColumn, 'type'>[];
    key: number[];
  }>(
    client,
    `SELECT json_build_object('oid', c.oid::int8, 'schema', n.nspname, 'name', c.relname, 'identity', c.relreplident,
      'columns', (SELECT json_agg(json_build_object('attnum', attnum, 'name', attname, 'typeOid', atttypid::int8, 'typmod', atttypmod)
        ORDER BY attnum) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped AND attgenerated = ''),
      'key', (SELECT json_agg(k) FROM pg_index i, unnest(i.indkey::int2[]) k WHERE i.indrelid = c.oid
        AND CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::regclass`,
    [table],
  );
  const columns = found.columns.map((column) => ({ ...column, type: columnTypeOf(column.typeOid, column.typmod) }));
  const key = found.key.map((attnum) => columns.find((column) => column.attnum === attnum)?.name ?? '');
  return {
    schema: { table: tableIdOf(found.schema, found.name), columns: columns.map(({ name, type }) => ({ name, type })), key },
    storage: formatStorage({ oid: found.oid, filenode: 0, columns, key: found.key, replicaIdentity: found.identity }),
  };
}

/** The next events; fails once the reader was given up. */
export async function nextOf(reader: ChangeReader): Promise<readonly SourceEvent[]> {
  const events = await reader.next();
  if (events === undefined) throw new Error('the reader was given up');
  return events;
}

/** The id of a table of schema public. */
export function publicTable(name: string): TableId {
  return tableIdOf('public', name);
}
