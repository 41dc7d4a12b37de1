import type { Clock, Log, Problem } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';
import { holdersNow } from './holders.ts';
import type { Lsn } from './position.ts';
import { parseLsn } from './position.ts';
import { codeOf } from './postgres-error.ts';

/** A replication slot as the server reports it. */
export interface SlotFacts {
  readonly plugin: string | null;
  readonly database: string | null;
  readonly activePid: number | null;
  readonly restartLsn: string | null;
  readonly confirmedFlushLsn: string | null;
  readonly walStatus: string | null;
  /** Why the server invalidated it; servers before PostgreSQL 17 do not say. */
  readonly invalidationReason: string | null;
}

// By way of JSON because the newer columns do not exist on older servers.
const FACTS = `SELECT COALESCE((SELECT json_build_object('plugin', s->>'plugin', 'database', s->>'database', 'activePid', s->'active_pid',
  'restartLsn', s->>'restart_lsn', 'confirmedFlushLsn', s->>'confirmed_flush_lsn', 'walStatus', s->>'wal_status',
  'invalidationReason', s->>'invalidation_reason')
  FROM (SELECT to_jsonb(r) AS s FROM pg_replication_slots r WHERE r.slot_name = $1) x), 'null'::json)`;

/** The slot of this name, or undefined. */
export async function slotFacts(client: Client, slot: string): Promise<SlotFacts | undefined> {
  return (await queryJson<SlotFacts | null>(client, FACTS, [slot])) ?? undefined;
}

/** The slots of this database whose names match, also those that are being made. */
export async function slotsLike(client: Client, pattern: string): Promise<readonly string[]> {
  const { rows } = await client.query<{ slot: string }>(
    'SELECT slot_name::text AS slot FROM pg_replication_slots WHERE slot_name ~ $1 AND database = current_database() ORDER BY 1',
    [pattern],
  );
  return rows.map(({ slot }) => slot);
}

const DROP_ATTEMPTS = 200;
const DROP_WAIT_MS = 50;

/**
 * Ends whoever streams from the slot, or is making it, and drops it; nothing happens when it does not exist. A slot of another database is
 * refused: names are shared by all databases of a server, and it may be another deployment's.
 */
export async function dropSlot(client: Client, clock: Clock, slot: string): Promise<void> {
  for (let attempt = 0; attempt < DROP_ATTEMPTS; attempt++) {
    const facts = await slotFacts(client, slot);
    if (facts === undefined) return;
    const [database] = (await client.query<{ d: string }>('SELECT current_database() AS d')).rows;
    if (facts.database !== database?.d) throw foreignSlot(slot, facts.database);
    if (facts.activePid !== null) await client.query('SELECT pg_terminate_backend($1::int)', [facts.activePid]);
    try {
      await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
      return;
    } catch (error) {
      if (codeOf(error) === '42704') return;
      if (codeOf(error) !== '55006') throw error;
    }
    await clock.sleep(DROP_WAIT_MS);
  }
  throw new PipelineError('conflict', `Replication slot ${slot} stays in use.`, { hint: 'Stop the other process that streams from it.' });
}

/** The refusal for a slot of ours in name only. */
function foreignSlot(slot: string, database: string | null): PipelineError {
  const hint = `Give the pipeline another name, or drop it: SELECT pg_drop_replication_slot('${slot}');`;
  return new PipelineError(
    'prerequisite',
    `Replication slot ${slot} belongs to ${database === null ? 'a standby' : `database ${database}`}.`,
    { hint },
  );
}

const REPORT_EVERY_MS = 10_000;

/**
 * Makes the slot and returns its consistent point. The server first waits for every transaction that runs now, which can take
 * long; who holds it up is logged meanwhile. A slot whose creation is cut off is dropped by the server.
 */
export async function createSlot(connect: Connect, client: Client, slot: string, context: { clock: Clock; log: Log }): Promise<Lsn> {
  const done = new AbortController();
  const reports = reportHolders(connect, slot, context, done.signal);
  try {
    const { rows } = await client.query<{ lsn: string }>("SELECT lsn FROM pg_create_logical_replication_slot($1, 'pgoutput')", [slot]);
    return parseLsn(rows[0]?.lsn ?? '');
  } catch (error) {
    if (codeOf(error) === '57014') throw await slotStuck(connect, slot, error);
    if (codeOf(error) === '53400') throw await noFreeSlot(connect, client, error);
    throw error;
  } finally {
    done.abort();
    await reports;
  }
}

async function reportHolders(
  connect: Connect,
  slot: string,
  { clock, log }: { clock: Clock; log: Log },
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    await clock.sleep(REPORT_EVERY_MS, signal);
    if (signal.aborted) return;
    try {
      const [oldest] = await withConnection(connect, 'anchor', holdersNow);
      log.warn('replication slot waits for a transaction', {
        slot,
        holder: oldest?.holder,
        seconds: oldest?.ageSeconds,
        cure: oldest?.cure,
      });
    } catch {
      // Only the report failed; the creation itself reports its own errors.
    }
  }
}

async function noFreeSlot({ place }: Connect, client: Client, cause: unknown): Promise<PipelineError> {
  const { most, idle } = await queryJson<{ most: number; idle: string | null }>(client, ROOM);
  const { what, cure } = noRoomForSlot(place, most, idle);
  return new PipelineError('prerequisite', what, { cause, hint: cure });
}

const ROOM = `SELECT json_build_object('most', current_setting('max_replication_slots')::int,
  'idle', (SELECT min(slot_name) FROM pg_replication_slots WHERE NOT active))`;

/** What is wrong when all slots are taken, and what helps; `idle`: one that nobody uses now. */
export function noRoomForSlot(place: string, most: number, idle: string | null): Problem {
  const drop = idle === null ? '.' : `, or drop one that nobody needs: SELECT pg_drop_replication_slot('${idle}');`;
  return {
    what: `PostgreSQL at ${place} has no free replication slot (max_replication_slots is ${most}).`,
    cure: `Raise max_replication_slots and restart PostgreSQL${drop}`,
  };
}

async function slotStuck(connect: Connect, slot: string, cause: unknown): Promise<PipelineError> {
  const [oldest] = await withConnection(connect, 'anchor', holdersNow);
  const message = `The creation of replication slot ${slot} waits for ${oldest?.holder ?? 'transactions that stay open'}.`;
  return new PipelineError('unavailable', message, { cause, hint: oldest === undefined ? 'Try again.' : `To end it: ${oldest.cure}` });
}
