import { randomUUID } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import type {
  Anchor,
  ChangeReader,
  ChangesOptions,
  Position,
  RangeOutput,
  Row,
  Source,
  SourceEvent,
  SourceTable,
  TableId,
} from '@nanosync/core';
import { AvroReader, comparePositions, readCell, readRowOrigin, rowOrigin, sectionsOf, UNCHANGED } from '@nanosync/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** A change that the contract asks the database for. `key` moves the row of an id to another id. */
export type SourceWrite =
  | { readonly kind: 'insert' | 'delete'; readonly row: ContractRow }
  /** `body` stays as it is, and out of the log when the database leaves large values out. */
  | { readonly kind: 'rename'; readonly row: ContractRow }
  | { readonly kind: 'key'; readonly from: ContractRow; readonly row: ContractRow }
  | { readonly kind: 'truncate' };

/** A row of a contract table: `id` (int64, the key), `name` (text), `body` (text). */
export interface ContractRow {
  readonly id: number;
  readonly name: string;
  readonly body: string;
}

/** A database under test, with the ways to change it that users have. */
export interface SourceUnderTest extends AsyncDisposable {
  open(): Promise<Source>;
  /** A new empty table with the columns of {@link ContractRow}. */
  table(): Promise<TableId>;
  /** Commits all of it as one transaction. */
  commit(table: TableId, writes: readonly SourceWrite[]): Promise<void>;
  /** Moves the table's rows to another place without changing them. */
  rewrite(table: TableId): Promise<void>;
}

/** A body that is too large for any log to repeat when it did not change. */
export function largeBody(id: number): string {
  let body = `${id}:`;
  while (body.length < 20_000) body += randomUUID();
  return body;
}

/** The contract of Source, run on every database. */
export function describeSource(name: string, start: () => Promise<SourceUnderTest>): void {
  describe(`source contract: ${name}`, () => {
    let database: SourceUnderTest;
    let source: Source;
    beforeAll(async () => {
      database = await start();
      source = await database.open();
    });
    afterAll(async () => {
      await source[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
    });
    const context = { database: () => database, source: () => source };
    describeRanges(context);
    describeStream(context);
    describePlaces(context);
    describeAnchors(context);
  });
}

interface Context {
  database(): SourceUnderTest;
  source(): Source;
}

function describeRanges({ database, source }: Context): void {
  test('a table is discovered with columns and key, one that is not there is refused', async () => {
    const table = await database().table();
    const [found] = await source().discover([table]);
    expect(found?.schema.columns.map((column) => [column.name, column.type.kind])).toEqual([
      ['id', 'int64'],
      ['name', 'text'],
      ['body', 'text'],
    ]);
    expect(found?.schema.key).toEqual(['id']);
    await expect(source().discover(['public.is_not_there'])).rejects.toMatchObject({ kind: 'config' });
  });

  test('ranges cover every row once, also rows that come after the plan, and each row names its read', async () => {
    const table = await filled(database(), 500);
    const planned = await found(source(), table);
    const ranges = await source().partition(planned, { targetRows: 60, whole: false });
    expect(ranges.length).toBeGreaterThan(1);
    expect(await source().partition(planned, { targetRows: 60, whole: true })).toHaveLength(1);
    await database().commit(table, inserts(500, 20));
    const ids: number[] = [];
    for (const [partition, range] of ranges.entries()) ids.push(...(await idsOf(source(), planned, range, partition)));
    expect(ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 520 }, (_, id) => id));
  });

  test('a range of a table that was rewritten after the plan is not read', async () => {
    const table = await filled(database(), 100);
    const planned = await found(source(), table);
    const [range = ''] = await source().partition(planned, { targetRows: 10, whole: false });
    await database().rewrite(table);
    await expect(idsOf(source(), planned, range, 0)).rejects.toMatchObject({ kind: 'table-changed' });
  });
}

function describeStream({ database, source }: Context): void {
  test('changes after the anchor arrive in order at rising positions above L0, and none from before it', async () => {
    const table = await filled(database(), 3);
    await using stream = await anchored(source(), [table]);
    await source().fence({ signal: new AbortController().signal, onWait: () => {} });
    const [one, two] = [rowOf(10), rowOf(11)];
    await database().commit(table, [
      { kind: 'insert', row: one },
      { kind: 'insert', row: two },
    ]);
    await database().commit(table, [{ kind: 'delete', row: one }]);
    await database().commit(table, [{ kind: 'key', from: two, row: { ...two, id: 12 } }]);
    await database().commit(table, [{ kind: 'truncate' }]);
    const events = await stream.commits(4);
    expect(events.map(summary).filter((text) => text !== 'commit')).toEqual(['c 10', 'c 11', 'd 10', 'd 11', 'c 12', 'truncate']);
    const positions = events.filter(({ kind }) => kind !== 'commit').map(({ position }) => position);
    expect(positions.every((position, index) => index === 0 || comparePositions(position, positions[index - 1] as Position) > 0)).toBe(
      true,
    );
    expect(comparePositions(positions[0] as Position, stream.anchor.l0)).toBe(1);
    expect(positions.every((position) => (sectionsOf(position)[1] ?? 0n) > 0n)).toBe(true);
    expect(comparePositions(await source().end(), positions.at(-1) as Position)).toBeGreaterThanOrEqual(0);
  });

  test('what was not acknowledged comes again at the same positions, what lies below the acknowledged place does not', async () => {
    const table = await database().table();
    const first = await anchored(source(), [table]);
    for (const id of [1, 2, 3]) await database().commit(table, [{ kind: 'insert', row: rowOf(id) }]);
    const events = await first.commits(3);
    const commits = events.filter((event) => event.kind === 'commit');
    first.reader.acknowledge(commits[1]?.acknowledge as Position);
    await first[Symbol.asyncDispose]();
    await using second = await first.again(commits[1]?.acknowledge as Position);
    const again = (await second.commits(2)).filter(({ kind }) => kind === 'change');
    expect(again.map(summary)).toEqual(['c 2', 'c 3']);
    expect(again).toEqual(events.filter(({ kind }) => kind === 'change').slice(1));
  });

  test('an update that leaves a large value as it was carries it while the epoch asks for that, and says so when it does not', async () => {
    const table = await database().table();
    const row = { ...rowOf(1), body: largeBody(1) };
    await database().commit(table, [{ kind: 'insert', row }]);
    const bodies: unknown[] = [];
    for (const complete of [true, false]) {
      await using stream = await anchored(source(), [table], { complete: () => complete });
      await database().commit(table, [{ kind: 'rename', row: { ...row, name: `name ${complete}` } }]);
      const [change] = (await stream.commits(1)).filter((event) => event.kind === 'change');
      expect(change?.after?.[1]).toBe(`name ${complete}`);
      bodies.push(change?.after?.[2]);
    }
    expect(bodies[0]).toBe(row.body);
    expect(bodies[1]).toBe(UNCHANGED);
  });
}

function describePlaces({ database, source }: Context): void {
  test('a marker has its place between the commits around it', async () => {
    const table = await database().table();
    await using stream = await anchored(source(), [table]);
    await database().commit(table, [{ kind: 'insert', row: rowOf(1) }]);
    await source().mark({ kind: 'consistency', pipeline: stream.pipeline, table, epoch: 'e' });
    await database().commit(table, [{ kind: 'insert', row: rowOf(2) }]);
    const events = (await stream.commits(3)).filter(({ kind }) => kind !== 'commit');
    expect(events.map(summary)).toEqual(['c 1', 'marker consistency', 'c 2']);
  });

  test('the log ends behind what was committed, and what it kept for an anchor that was dropped is lost', async () => {
    const table = await database().table();
    await using stream = await anchored(source(), [table]);
    const before = await source().retention(stream.anchor);
    await database().commit(table, [{ kind: 'insert', row: rowOf(1) }]);
    const after = await source().retention(stream.anchor);
    expect(comparePositions(after.end, before.end)).toBe(1);
    expect(['safe', 'unlimited']).toContain(after.state);
    await source().drop(stream.anchor);
    expect(await source().retention(stream.anchor)).toMatchObject({ state: 'lost', keptBytes: 0 });
  });

  test('once all is acknowledged the stream says up to where it has delivered', async () => {
    const table = await database().table();
    await using stream = await anchored(source(), [table]);
    await database().commit(table, [{ kind: 'insert', row: rowOf(1) }]);
    const events = await stream.commits(1);
    stream.reader.acknowledge(events.find((event) => event.kind === 'commit')?.acknowledge as Position);
    await stream.idleAbove(events.find(({ kind }) => kind === 'change')?.position as Position);
  });

  test('one stream at a time; a stopped one returns nothing and makes room', async () => {
    const table = await database().table();
    const first = await anchored(source(), [table]);
    await expect(first.again(first.anchor.l0)).rejects.toMatchObject({ kind: 'conflict' });
    const waiting = first.drained();
    first.stop();
    expect(await waiting).toBeUndefined();
    await first[Symbol.asyncDispose]();
    await using second = await first.again(first.anchor.l0);
    expect(second.anchor).toEqual(first.anchor);
  });

  test('an anchor fits until its slot is gone or was confirmed beyond what is known as published', async () => {
    const table = await database().table();
    const stream = await anchored(source(), [table]);
    await source().verify(stream.pipeline, stream.anchor, null);
    for (const id of [1, 2]) await database().commit(table, [{ kind: 'insert', row: rowOf(id) }]);
    const commits = (await stream.commits(2)).filter((event) => event.kind === 'commit');
    stream.reader.acknowledge(commits[1]?.acknowledge as Position);
    await stream[Symbol.asyncDispose]();
    await expect(source().verify(stream.pipeline, stream.anchor, stream.anchor.l0)).rejects.toMatchObject({ kind: 'gap' });
    await source().verify(stream.pipeline, stream.anchor, commits[1]?.acknowledge as Position);
    await expect(source().release(stream.pipeline, async () => false)).rejects.toMatchObject({ kind: 'conflict' });
    await source().verify(stream.pipeline, stream.anchor, commits[1]?.acknowledge as Position);
    await source().release(stream.pipeline, async () => true);
    await source().release(stream.pipeline, async () => true);
    await expect(source().verify(stream.pipeline, stream.anchor, null)).rejects.toMatchObject({ kind: 'gap' });
  });
}

function describeAnchors({ database, source }: Context): void {
  test('two anchors of one pipeline do not disturb one another', async () => {
    const [one, two] = [await database().table(), await database().table()];
    await using first = await anchored(source(), [one]);
    await database().commit(one, [{ kind: 'insert', row: rowOf(1) }]);
    const second = await source().anchor(first.pipeline, 'another', [two]);
    await database().commit(one, [{ kind: 'insert', row: rowOf(2) }]);
    expect((await first.commits(2)).filter(({ kind }) => kind === 'change').map(summary)).toEqual(['c 1', 'c 2']);
    await source().verify(first.pipeline, first.anchor, null);
    await source().verify(first.pipeline, second, null);
    await source().release(first.pipeline, async () => true);
    for (const anchor of [first.anchor, second])
      await expect(source().verify(first.pipeline, anchor, null)).rejects.toMatchObject({ kind: 'gap' });
  });

  test('a dropped anchor is gone, however often, with its stream and with no other', async () => {
    const table = await database().table();
    await using first = await anchored(source(), [table]);
    const second = await source().anchor(first.pipeline, 'another', [table]);
    await source().drop(first.anchor);
    await source().drop(first.anchor);
    await expect(first.drained()).rejects.toMatchObject({ kind: expect.stringMatching(/unavailable|gap/) });
    await expect(source().verify(first.pipeline, first.anchor, null)).rejects.toMatchObject({ kind: 'gap' });
    await source().verify(first.pipeline, second, null);
    await source().drop(second);
  });

  test('what other anchors of the pipeline left is tidied if this one is still the stored one', async () => {
    const table = await database().table();
    await using mine = await anchored(source(), [table]);
    await using elsewhere = await anchored(source(), [table]);
    const left = await source().anchor(mine.pipeline, 'left', [table]);
    await source().tidy(mine.pipeline, mine.anchor, async () => false);
    await source().verify(mine.pipeline, left, null);
    // Made once the slots have been listed: it may become the stored one.
    let later: Anchor | undefined;
    const still = async () => {
      later = await source().anchor(mine.pipeline, 'later', [table]);
      return true;
    };
    await source().tidy(mine.pipeline, mine.anchor, still);
    await expect(source().verify(mine.pipeline, left, null)).rejects.toMatchObject({ kind: 'gap' });
    for (const { pipeline, anchor } of [mine, elsewhere, { ...mine, anchor: later as Anchor }])
      await source().verify(pipeline, anchor, null);
    await source().drop(later as Anchor);
  });

  test('while no anchor is stored all that were left are tidied, after a yes only', async () => {
    const table = await database().table();
    await using left = await anchored(source(), [table]);
    await using elsewhere = await anchored(source(), [table]);
    const second = await source().anchor(left.pipeline, 'second', [table]);
    await source().tidy(left.pipeline, null, async () => false);
    for (const anchor of [left.anchor, second]) await source().verify(left.pipeline, anchor, null);
    await source().tidy(left.pipeline, null, async () => true);
    for (const anchor of [left.anchor, second])
      await expect(source().verify(left.pipeline, anchor, null)).rejects.toMatchObject({ kind: 'gap' });
    await source().verify(elsewhere.pipeline, elsewhere.anchor, null);
    await source().tidy(left.pipeline, null, () => Promise.reject(new Error('asked about nothing')));
  });
}

let pipelines = 0;

/** An anchor of a pipeline of its own, and a stream from its L0. */
async function anchored(source: Source, tables: readonly TableId[], options: Partial<ChangesOptions> = {}) {
  const pipeline = `contract${++pipelines}`;
  const found = await source.discover(tables);
  const anchor = await source.anchor(pipeline, `anchor ${pipelines}`, tables);
  const open = async (from: Position) => {
    const stopping = new AbortController();
    const reader = await source.changes({
      ...{ pipeline, anchor, from, tables: found, complete: () => true, signal: stopping.signal },
      ...options,
    });
    return { pipeline, anchor, again: open, stop: () => stopping.abort(), ...reading(reader, stopping) };
  };
  return open(anchor.l0);
}

/** Ways to read a stream until a state is reached. */
function reading(reader: ChangeReader, stopping: AbortController) {
  let idle: Position | undefined;
  return {
    reader,
    /** The events up to and with the n-th commit from here that is not empty. */
    commits: async (count: number): Promise<SourceEvent[]> => {
      const events: SourceEvent[] = [];
      let pending: SourceEvent[] = [];
      for (let seen = 0; seen < count; )
        for (const event of (await reader.next()) ?? []) {
          if (event.kind === 'idle') idle = event.position;
          else pending.push(event);
          if (event.kind !== 'commit') continue;
          if (pending.length > 1) {
            events.push(...pending);
            seen++;
          }
          pending = [];
        }
      return events;
    },
    /** Returns once the stream has said that it delivered everything up to a place above this one. */
    idleAbove: async (position: Position): Promise<void> => {
      while (idle === undefined || comparePositions(idle, position) <= 0)
        for (const event of (await reader.next()) ?? []) if (event.kind === 'idle') idle = event.position;
    },
    /** Reads until the stream is stopped. */
    drained: async (): Promise<undefined> => {
      while ((await reader.next()) !== undefined);
    },
    [Symbol.asyncDispose]: async () => {
      stopping.abort();
      await reader[Symbol.asyncDispose]();
    },
  };
}

async function found(source: Source, table: TableId): Promise<SourceTable> {
  return (await source.discover([table]))[0] as SourceTable;
}

async function filled(database: SourceUnderTest, rows: number): Promise<TableId> {
  const table = await database.table();
  await database.commit(table, inserts(0, rows));
  return table;
}

function inserts(from: number, count: number): SourceWrite[] {
  return Array.from({ length: count }, (_, index) => ({ kind: 'insert', row: rowOf(from + index) }));
}

function rowOf(id: number): ContractRow {
  return { id, name: `name ${id}`, body: 'b'.repeat(200) };
}

async function idsOf(source: Source, table: SourceTable, range: string, partition: number): Promise<number[]> {
  const origin = rowOrigin(partition, 'attempt');
  const ids: number[] = [];
  for await (const output of source.readRange(table, range, { targetBytes: 4096, origin, signal: new AbortController().signal }))
    for (const row of rowsOf(table, output, partition)) ids.push(Number(row[0]));
  return ids;
}

function rowsOf({ schema }: SourceTable, output: RangeOutput, partition: number): Row[] {
  if (output.kind !== 'block') throw new Error(output.row.reason);
  const { block, codec, rows } = output.block;
  const reader = new AvroReader(codec === 'zstandard' ? zstdDecompressSync(block) : block);
  const read = Array.from({ length: rows }, () => {
    expect(readRowOrigin(reader)).toEqual({ partition, attempt: 'attempt' });
    return schema.columns.map((column) => readCell(reader, column.type));
  });
  expect(reader.done).toBe(true);
  return read;
}

function summary(event: SourceEvent): string {
  if (event.kind === 'change') return `${event.op} ${String((event.after ?? event.before)?.[0])}`;
  return event.kind === 'marker' ? `marker ${event.marker.kind}` : event.kind;
}
