import type { Anchor, Clock, FenceWait, Position, TableId } from '@nanosync/core';
import { PipelineError, positionOf, sectionsOf } from '@nanosync/core';
import type { ModelDatabase } from './database.ts';
import type { ModelTransaction } from './transaction.ts';

const FIRST_WAIT_MS = 10;
const LONGEST_WAIT_MS = 500;
const FIRST_REPORT_MS = 200;
const NEXT_REPORT_MS = 2_000;

/** Publication, then slot; its consistent point is L0. */
export async function createModelAnchor(
  db: ModelDatabase,
  connection: AbortSignal,
  request: { readonly pipeline: string; readonly id: string; readonly tables: readonly TableId[] },
): Promise<Anchor> {
  db.reach();
  publish(db, request.tables);
  const name = `${slotPrefix(request.pipeline)}${request.id}`;
  db.creating.add(name);
  const l0 = await consistentPoint(db, connection, name);
  db.creating.delete(name);
  db.slots.set(name, { name, confirmed: l0, saved: l0, holder: null });
  return { id: request.id, l0: positionOf(l0, 0n), origin: { database: 'model', slot: name } };
}

/** Drops the pipeline's slots but the anchor's, if this is still stored once they are listed. */
export async function tidyModel(db: ModelDatabase, pipeline: string, anchor: Anchor | null, still: () => Promise<boolean>): Promise<void> {
  db.reach();
  const left = slotsOf(db, pipeline).filter((name) => name !== anchor?.origin.slot);
  if (left.length === 0 || !(await still())) return;
  db.reach();
  for (const name of left) db.drop(name);
}

/** The slots of a pipeline, also those that are being made. */
export function slotsOf(db: ModelDatabase, pipeline: string): readonly string[] {
  return [...db.slots.keys(), ...db.creating].filter((name) => name.startsWith(slotPrefix(pipeline)));
}

function slotPrefix(pipeline: string): string {
  return `slot of ${pipeline}: `;
}

function publish(db: ModelDatabase, tables: readonly TableId[]): void {
  const missing = tables.filter((table) => !db.isPublished(table));
  if (db.publication === undefined) db.publication = new Set(tables);
  else if (missing.length > 0) db.alterPublication(missing);
}

/**
 * The server notes which transactions run and waits for them, notes again and waits for those, and is consistent at the next note, or
 * at one where nothing runs. A transaction that began in between and is not waited for can have its commit in the log below that point.
 */
async function consistentPoint(db: ModelDatabase, connection: AbortSignal, name: string): Promise<bigint> {
  for (let phase = 0; ; phase++) {
    const running = db.runningNow();
    const end = db.append('running');
    if (running.length === 0 || phase === 2) return end;
    while (running.some(({ xid }) => db.isRunning(xid))) {
      await db.wakeUps.next(connection);
      if (connection.aborted) db.creating.delete(name);
      if (!db.creating.has(name)) throw new PipelineError('unavailable', 'The creation of the slot was cut off.');
    }
  }
}

/** Throws `gap` when the log that the anchor began is no longer whole from the published position on. */
export function verifyModelAnchor(db: ModelDatabase, pipeline: string, anchor: Anchor, published: Position | null): void {
  const gap = (reason: string) => new PipelineError('gap', reason, { hint: `Run: nanosync pipeline resnapshot ${pipeline}` });
  const slot = db.slots.get(anchor.origin.slot ?? '');
  if (slot === undefined) throw gap('The replication slot no longer exists.');
  if (db.publication === undefined) throw gap('The publication no longer exists.');
  const known = sectionsOf(published ?? anchor.l0)[0] as bigint;
  if (slot.confirmed > known) throw gap('The replication slot was moved beyond what is published.');
  if (known > db.end) throw gap('The log ends before what is published.');
}

/** Takes a transaction id and waits until every lower one is over; tells who holds it when that takes long. */
export async function passModelFence(
  db: ModelDatabase,
  clock: Clock,
  {
    signal,
    onWait,
    connection,
  }: { readonly signal: AbortSignal; readonly onWait: (waits: readonly FenceWait[]) => void; readonly connection: AbortSignal },
): Promise<void> {
  signal.throwIfAborted();
  db.reach();
  const own = db.takeXid();
  let reportAt = clock.monotonicMs() + FIRST_REPORT_MS;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    const holders = db.runningNow().filter(({ xid }) => xid < own);
    if (holders.length === 0) return;
    const nowMs = clock.monotonicMs();
    if (nowMs >= reportAt) {
      onWait(holders.map((holder) => waitFor(holder, nowMs)));
      reportAt = nowMs + NEXT_REPORT_MS;
    }
    await clock.sleep(wait, signal);
    signal.throwIfAborted();
    if (connection.aborted) throw new PipelineError('unavailable', 'The model closed the connection.');
  }
}

function waitFor({ xid, state, beganMs }: ModelTransaction, nowMs: number): FenceWait {
  const ageSeconds = Math.round((nowMs - beganMs) / 1000);
  if (state === 'prepared') return { holder: `prepared transaction '${xid}'`, ageSeconds, cure: `ROLLBACK PREPARED '${xid}';` };
  const why = state === 'committing' ? ', committing and waiting for a synchronous standby' : '';
  return { holder: `process ${xid}${why}`, ageSeconds, cure: `SELECT pg_terminate_backend(${xid});` };
}
