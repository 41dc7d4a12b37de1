import type { RangeOptions, RangeOutput, RowBlock, TableSchema } from '@nanosync/core';
import { PipelineError, splitTableId } from '@nanosync/core';
import type { Client } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { keepsBack, requireSameKey, sentColumns } from './column-rules.ts';
import { compress } from './compress.ts';
import type { Connect } from './connection.ts';
import { destroy, quoteIdent } from './connection.ts';
import type { Hasher } from './hasher.ts';
import { UNKEYED } from './hasher.ts';
import type { IdleConnections } from './idle-connections.ts';
import { codeOf } from './postgres-error.ts';
import type { EncodedOutput, EncodedRows } from './row-encoder.ts';
import { RowEncoder } from './row-encoder.ts';
import type { TableStorage } from './storage.ts';
import { parseStorage, sameColumns } from './storage.ts';
import { replicatedColumns, storageNow } from './table-facts.ts';
import { outputText, readsBinary } from './type-map.ts';
import { importSql, isViewLost, isViewTooOld, seesView } from './view.ts';

/** The range that is the whole table, whatever its storage: read so when rewrites keep voiding the plan. */
export const WHOLE = 'whole';

const RANGE = /^(\d{1,10}):(\d{0,10})$/;

/** A range ends long before this; a whole table may take its time. */
const RANGE_TIMEOUT_MS = 3_600_000;
const WHOLE_TIMEOUT_MS = 7 * 24 * 3_600_000;

/** Blocks that may be in compression or wait for the consumer while the next one is encoded. */
const BLOCKS_AHEAD = 2;

/** What to read, and how. */
export interface RangeRequest extends RangeOptions {
  /** Absent: hashes without a key. */
  readonly hasher?: Hasher;
  readonly table: { readonly schema: TableSchema; readonly storage: string };
  readonly range: string;
}

/**
 * Reads one range in a transaction of its own: the lock first, so that nothing rewrites the table between check and COPY; then
 * the comparison with what was planned; then the COPY; then COMMIT. In a view the transaction sees the catalog as it was, so a connection beside
 * it compares while the lock is held. Blocks may be yielded before the end is known to be good:
 * only a reader that returns without an error has read the range.
 */
export async function* readRange(
  connections: IdleConnections,
  connect: Connect,
  request: RangeRequest,
): AsyncGenerator<RangeOutput, void, void> {
  const { range, signal, table, view } = request;
  signal.throwIfAborted();
  const client = await connections.take(beginSql(range, view)).catch((error: unknown) => {
    throw view !== undefined && isViewLost(error) ? changed(table.schema, VIEW_GONE, error) : connect.explain(error);
  });
  const abandon = () => destroy(client);
  signal.addEventListener('abort', abandon);
  let committed = false;
  try {
    signal.throwIfAborted();
    await lock(client, table.schema);
    const storage = view === undefined ? await compare(client, request) : await compareInView(connections, client, { ...request, view });
    yield* copyRange(client, copySql(table.schema, storage, range), storage, request);
    await client.query('COMMIT');
    committed = true;
  } catch (error) {
    signal.throwIfAborted();
    throw isViewTooOld(error) ? changed(table.schema, VIEW_GONE, error) : connect.explain(error);
  } finally {
    signal.removeEventListener('abort', abandon);
    if (committed) connections.give(client);
    else destroy(client);
  }
}

function beginSql(range: string, view: string | undefined): string {
  const timeout = `SET LOCAL statement_timeout = ${range === WHOLE ? WHOLE_TIMEOUT_MS : RANGE_TIMEOUT_MS}`;
  if (view === undefined) return `BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; ${timeout}`;
  return `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; ${importSql(view)}; ${timeout}`;
}

const VIEW_GONE = 'the source no longer holds the moment that its rows are read of';

async function lock(client: Client, schema: TableSchema): Promise<void> {
  try {
    await client.query(`LOCK TABLE ONLY ${qualifiedName(schema)} IN ACCESS SHARE MODE`);
  } catch (error) {
    if (GONE.has(codeOf(error) ?? '')) throw changed(schema, 'it no longer exists', error);
    throw error;
  }
}

/** The reading transaction holds the lock, so what another connection finds now stays so until the COPY is over. */
async function compareInView(
  connections: IdleConnections,
  client: Client,
  request: RangeRequest & { readonly view: string },
): Promise<TableStorage> {
  // Invariant 'cover': a name of a snapshot may come again; ranges of two moments are never mixed.
  if (!(await seesView(client, request.view))) throw changed(request.table.schema, VIEW_GONE);
  const other = await connections.take('SELECT 1');
  try {
    const storage = await compare(other, request);
    connections.give(other);
    return storage;
  } catch (error) {
    destroy(other);
    throw error;
  }
}

async function compare(client: Client, { table, range, view, hasher = UNKEYED }: RangeRequest): Promise<TableStorage> {
  // Invariant 'cover': the lock comes before the comparison, or a rewrite fits between that and the COPY.
  const planned = parseStorage(table.storage);
  requireSameKey(table.schema, planned, hasher);
  const { schema, name } = splitTableId(table.schema.table);
  const now = await storageNow(client, schema, name);
  if (now === undefined) throw changed(table.schema, 'it no longer exists');
  if (now.oid !== planned.oid) throw changed(table.schema, 'it is another table of the same name');
  if (!sameColumns(replicatedColumns(now.columns), planned.columns)) throw changed(table.schema, 'its columns changed');
  // In a view the rows of a later file are invisible, also to one read of them all.
  if ((range !== WHOLE || view !== undefined) && now.filenode !== planned.filenode) throw changed(table.schema, 'it was rewritten');
  return planned;
}

/** Instead of a row that holds values which are kept back. */
const NOTHING = new Uint8Array(0);

/** SQLSTATEs of a table or schema that is not there. */
const GONE = new Set(['42P01', '3F000']);

/** The rows of a COPY in binary as blocks of Avro. */
export async function* copyRange(
  client: Client,
  sql: string,
  storage: TableStorage,
  { targetBytes, origin, hasher }: Pick<RangeRequest, 'targetBytes' | 'origin' | 'hasher'>,
): AsyncGenerator<RangeOutput, void, void> {
  const encoder = new RowEncoder(sentColumns(storage), targetBytes, origin, hasher);
  const withheld = keepsBack(storage);
  const stream = client.query(copyTo(sql));
  const ahead: Promise<RowBlock>[] = [];
  const outputs: EncodedOutput[] = [];
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      encoder.push(chunk, outputs);
      if (outputs.length > 0) yield* hand(outputs, ahead, { encoder, withheld, keep: BLOCKS_AHEAD });
    }
    encoder.finish(outputs);
    yield* hand(outputs, ahead, { encoder, withheld, keep: 0 });
    if (stream.rowCount !== encoder.rows)
      throw new PipelineError('defect', `PostgreSQL sent ${stream.rowCount} rows and ${encoder.rows} were read.`);
  } finally {
    // A compression that fails after the consumer left has nobody to tell.
    for (const block of ahead) block.catch(() => {});
  }
}

/** Starts compressing new blocks, and yields finished ones until at most `keep` are under way. */
async function* hand(
  outputs: EncodedOutput[],
  ahead: Promise<RowBlock>[],
  { encoder, withheld, keep }: { readonly encoder: RowEncoder; readonly withheld: boolean; readonly keep: number },
): AsyncGenerator<RangeOutput> {
  for (const output of outputs.splice(0)) {
    if (output.kind === 'rows') ahead.push(compressed(output, encoder));
    else yield { kind: 'rejected', row: { reason: output.reason, payload: withheld ? NOTHING : output.payload } };
  }
  while (ahead.length > keep) yield { kind: 'block', block: await (ahead.shift() as Promise<RowBlock>) };
}

async function compressed(rows: EncodedRows, encoder: RowEncoder): Promise<RowBlock> {
  const block = await compress(rows.bytes);
  encoder.recycle(rows);
  return { rows: rows.rows, codec: 'zstandard', block };
}

function copySql(schema: TableSchema, storage: TableStorage, range: string): string {
  const columns = sentColumns(storage).map(({ name, typeOid, typmod, hashed }) => {
    const quoted = quoteIdent(name);
    return hashed === undefined && readsBinary(typeOid, typmod) ? quoted : outputText(quoted);
  });
  return `COPY (SELECT ${columns.join(', ')} FROM ONLY ${qualifiedName(schema)}${rangeCondition(range)}) TO STDOUT (FORMAT binary)`;
}

function rangeCondition(range: string): string {
  if (range === WHOLE) return '';
  const match = RANGE.exec(range);
  if (match === null) throw new PipelineError('defect', 'A partition task holds a range that is none.');
  const from = `ctid >= '(${match[1]},0)'::pg_catalog.tid`;
  return match[2] === '' ? ` WHERE ${from}` : ` WHERE ${from} AND ctid < '(${match[2]},0)'::pg_catalog.tid`;
}

function qualifiedName({ table }: TableSchema): string {
  const { schema, name } = splitTableId(table);
  return `${quoteIdent(schema)}.${quoteIdent(name)}`;
}

function changed(schema: TableSchema, what: string, cause?: unknown): PipelineError {
  return new PipelineError('table-changed', `Table ${schema.table} is not as it was planned: ${what}.`, { cause });
}
