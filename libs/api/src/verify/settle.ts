import type { Position, Row, SinkRow, VersionedRow } from '@nanosync/core';
import { comparePositions } from '@nanosync/core';
import { passFenceInTime } from './fence-in-time.ts';
import type { PassParts } from './passes.ts';
import type { DifferenceKind } from './ports.ts';
import { RowForm } from './row-form.ts';
import { waitUntilApplied } from './wait-applied.ts';

/** Keys that are looked at together. */
const KEYS_AT_ONCE = 500;
/** How often a key that keeps changing is looked at under the strict rule. */
const ROUNDS = 5;

/** A key that differs, as it was seen last. */
export interface Settled {
  readonly kind: DifferenceKind;
  readonly key: Row;
  readonly source: Row | null;
  readonly sink: Row | null;
}

/**
 * Looks at candidates key by key until each is known to be equal, to differ, or to be beyond telling. What is only lag never differs here:
 * see docs/17-verify.md for the rule and why it holds.
 */
export async function* settle(parts: PassParts, keys: readonly string[]): AsyncGenerator<Settled> {
  const form = new RowForm(parts.table.schema);
  let done = 0;
  for (let at = 0; at < keys.length; at += KEYS_AT_ONCE) {
    const some = keys.slice(at, at + KEYS_AT_ONCE).map((key) => ({ key, cells: form.cellsOfKey(key) }));
    yield* parts.limits.asIs ? settleAsIs(parts, form, some) : settleLive(parts, form, some);
    done += some.length;
    parts.listener.progress({ step: 'settling', done, of: keys.length });
  }
}

interface Key {
  readonly key: string;
  readonly cells: Row;
}

/** A key on both sides; the sink's rows are one, none, or more where something is very wrong. */
interface Seen {
  readonly key: Key;
  readonly source: VersionedRow | undefined;
  readonly sink: readonly SinkRow[];
}

async function* settleLive(parts: PassParts, form: RowForm, all: readonly Key[]): AsyncGenerator<Settled> {
  // First without the fence, which may have to wait for others' transactions: nearly always that is all.
  let open = (await look(parts, form, all)).filter((seen) => !isEqual(form, seen));
  for (let round = 0; open.length > 0; round++) {
    const fence = await passFenceInTime(parts);
    const before = fence.position;
    const seen = (
      await look(
        parts,
        form,
        open.map(({ key }) => key),
      )
    ).filter((one) => !isEqual(form, one));
    const after = seen.length === 0 || fence.held !== undefined ? fence : await passFenceInTime(parts);
    const again = await readSourceRows(
      parts,
      form,
      seen.map(({ key }) => key),
    );
    open = [];
    for (const [index, one] of seen.entries()) {
      const now = again[index];
      if (isEqual(form, { ...one, source: now })) continue;
      if (after.held !== undefined) yield settled(one, 'held');
      else if (isCertain(one, now, before)) yield settled(one);
      else if (round + 1 === ROUNDS) yield settled({ ...one, source: now }, 'changing');
      else open.push(one);
    }
  }
}

/**
 * True when what was seen is no lag. `before` is a position below which every commit was visible before the source was read; the sink was read once
 * it had applied all that the source showed; and everything that the sink had applied was visible before the source was read again.
 */
function isCertain({ source, sink }: Seen, now: VersionedRow | undefined, before: Position): boolean {
  // The row was not written in between: whatever the sink had applied, this is what it had to have.
  if (source !== undefined && now !== undefined) return source.version === now.version;
  if (source !== undefined || now !== undefined) return false;
  // No row, twice. One that came and went in between left the sink a row that is newer than the first look.
  return sink.every(({ position }) => position === null || comparePositions(position, before) < 0);
}

/** Reads the source, waits until the sink has applied what was seen there, and reads the sink. */
async function look(parts: PassParts, form: RowForm, keys: readonly Key[]): Promise<readonly Seen[]> {
  const source = await readSourceRows(parts, form, keys);
  await waitUntilApplied(parts);
  const sink = await readSinkRows(parts, form, keys);
  return keys.map((key, index) => ({ key, source: source[index], sink: sink.get(key.key) ?? [] }));
}

/** Both sides as they are; what changes between two looks is told apart. */
async function* settleAsIs(parts: PassParts, form: RowForm, keys: readonly Key[]): AsyncGenerator<Settled> {
  const source = await readSourceRows(parts, form, keys);
  const sink = await readSinkRows(parts, form, keys);
  const again = await readSourceRows(parts, form, keys);
  for (const [index, key] of keys.entries()) {
    const seen = { key, source: source[index], sink: sink.get(key.key) ?? [] };
    const now = again[index];
    if (isEqual(form, seen) || isEqual(form, { ...seen, source: now })) continue;
    yield settled(seen, source[index]?.version === now?.version ? undefined : 'changing');
  }
}

async function readSourceRows({ ports, table }: PassParts, form: RowForm, keys: readonly Key[]) {
  const rows = await ports.source.readRows(
    table,
    keys.map(({ cells }) => cells),
    ports.signal,
  );
  // To the source another spelling may be the same key; such a row is another key's here.
  return rows.map((row, index) => (row !== undefined && form.ofCells(row.cells).key === keys[index]?.key ? row : undefined));
}

async function readSinkRows({ ports, table }: PassParts, form: RowForm, keys: readonly Key[]): Promise<Map<string, SinkRow[]>> {
  const found = new Map<string, SinkRow[]>();
  const { generation, schema } = table;
  if (keys.length === 0) return found;
  for await (const piece of ports.sink.scan({ generation, schema, keys: keys.map(({ cells }) => cells), signal: ports.signal }))
    for (const row of piece) {
      const { key } = form.ofCells(row.cells);
      found.set(key, [...(found.get(key) ?? []), row]);
    }
  return found;
}

function isEqual(form: RowForm, { source, sink }: Seen): boolean {
  if (source === undefined) return sink.length === 0;
  return sink.length === 1 && form.differing(source.cells, (sink[0] as SinkRow).cells).length === 0;
}

/** With several rows at the sink of one key, the one that is too many is told. */
function settled({ key, source, sink }: Seen, kind?: DifferenceKind): Settled {
  const plain = source === undefined || sink.length > 1 ? 'extra' : sink.length === 0 ? 'missing' : 'different';
  return { kind: kind ?? plain, key: key.cells, source: source?.cells ?? null, sink: sink[0]?.cells ?? null };
}
