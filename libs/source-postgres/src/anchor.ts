import type { Anchor, Clock, Log, Position, TableId } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';
import { identify } from './identity.ts';
import { publicationName, slotName, slotPattern } from './names.ts';
import { formatLsn, lsnOf, parseLsn, positionOfLsn } from './position.ts';
import { dropPublication, publishTables } from './publication.ts';
import type { SlotFacts } from './slot.ts';
import { createSlot, dropSlot, slotFacts, slotsLike } from './slot.ts';

/** Slot creation waits for all running transactions; after this long it is given up, reported and tried again. */
const CREATE_TIMEOUT_MS = 600_000;

/** What anchoring needs beside the connection. */
export interface AnchorContext {
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Publication committed, then the slot: the other way round the publication "does not exist" whenever the stream starts. It drops nothing:
 * another planner may have stored an anchor of this pipeline meanwhile. Dies the process before its own is durable, `tidyAnchors` finds the slot.
 */
export async function createAnchor(
  connect: Connect,
  context: AnchorContext,
  request: { readonly pipeline: string; readonly id: string; readonly tables: readonly TableId[] },
): Promise<Anchor> {
  const slot = slotName(request.pipeline, request.id);
  const publication = publicationName(request.pipeline);
  const { system, timeline } = await identify(connect);
  // Invariant 'anchor-first': the publication is committed before the slot that decodes it.
  await publishTables(connect, publication, request.tables);
  const work = (client: Client) => createSlot(connect, client, slot, context);
  const l0 = await withConnection(connect, 'anchor', work, { statementTimeoutMs: CREATE_TIMEOUT_MS });
  return { id: request.id, l0: positionOfLsn(l0), origin: { system, timeline, slot, publication, database: connect.database } };
}

/** Drops the slot that the anchor names; nothing happens when it is gone already. */
export async function dropAnchor(connect: Connect, clock: Clock, { origin: { slot } }: Anchor): Promise<void> {
  if (slot !== undefined) await withConnection(connect, 'drop', (client) => dropSlot(client, clock, slot));
}

/** Drops the slots of the pipeline's other anchors if this one, or none, asked after they were listed, is still the stored one. */
export async function tidyAnchors(
  connect: Connect,
  clock: Clock,
  { pipeline, anchor, still }: { readonly pipeline: string; readonly anchor: Anchor | null; readonly still: () => Promise<boolean> },
): Promise<void> {
  await withConnection(connect, 'tidy', async (client) => {
    const left = (await slotsLike(client, slotPattern(pipeline))).filter((slot) => slot !== anchor?.origin.slot);
    // Invariant 'anchor-first': asked after listing, so none of these can be stored any more.
    if (left.length === 0 || !(await still())) return;
    for (const slot of left) await dropSlot(client, clock, slot);
  });
}

/** Drops all slots of the pipeline and its publication; nothing happens to what is gone already, and nothing at all where `still` says no. */
export async function releaseAnchors(connect: Connect, clock: Clock, pipeline: string, still: () => Promise<boolean>): Promise<void> {
  await tidyAnchors(connect, clock, { pipeline, anchor: null, still });
  await dropPublication(connect, publicationName(pipeline), still);
}

interface ServerNow {
  readonly wal: string;
  readonly publication: boolean;
}

const SERVER_NOW = `SELECT json_build_object('wal', CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END,
  'publication', EXISTS (
    SELECT FROM pg_publication WHERE pubname = $1 AND pubinsert AND pubupdate AND pubdelete AND pubtruncate AND NOT pubviaroot))`;

/** Throws `gap` when the log that the anchor began is no longer whole from the published position on. */
export async function verifyAnchor(connect: Connect, pipeline: string, anchor: Anchor, published: Position | null): Promise<void> {
  const gap = (reason: string) => new PipelineError('gap', reason, { hint: `Run: nanosync pipeline resnapshot ${pipeline}` });
  const { slot = '', publication = '', system, timeline } = anchor.origin;
  const identity = await identify(connect);
  // Invariant 'no-silent-gap': another server, timeline or slot has another log.
  if (identity.system !== system) throw gap(`Another database system answers at ${connect.place} than the one the pipeline began on.`);
  if (identity.timeline !== timeline)
    throw gap(
      `PostgreSQL at ${connect.place} is on timeline ${identity.timeline}, the pipeline began on ${timeline}: it failed over or was restored.`,
    );
  const { facts, now } = await withConnection(connect, 'verify', async (client) => ({
    facts: await slotFacts(client, slot),
    now: await queryJson<ServerNow>(client, SERVER_NOW, [publication]),
  }));
  const broken = slotBroken(slot, facts, anchor);
  if (broken !== undefined) throw gap(broken);
  if (!now.publication) throw gap(`Publication ${publication} no longer exists, or no longer publishes everything.`);
  const known = lsnOf(published ?? anchor.l0);
  const confirmed = parseLsn(facts?.confirmedFlushLsn ?? '');
  if (confirmed > known)
    throw gap(`Replication slot ${slot} was moved to ${formatLsn(confirmed)}, but changes are published only up to ${formatLsn(known)}.`);
  if (known > parseLsn(now.wal))
    throw gap(`The log of PostgreSQL at ${connect.place} ends at ${now.wal}, but changes are published up to ${formatLsn(known)}.`);
}

function slotBroken(slot: string, facts: SlotFacts | undefined, anchor: Anchor): string | undefined {
  if (facts === undefined) return `Replication slot ${slot} no longer exists.`;
  if (facts.plugin !== 'pgoutput' || facts.database !== anchor.origin.database)
    return `Replication slot ${slot} is not the one the pipeline made: it decodes ${facts.plugin} of database ${facts.database}.`;
  if (facts.walStatus === 'lost' || facts.invalidationReason !== null || facts.restartLsn === null || facts.confirmedFlushLsn === null)
    return `The server invalidated replication slot ${slot} (${facts.invalidationReason ?? 'its log was removed'}).`;
  return undefined;
}
