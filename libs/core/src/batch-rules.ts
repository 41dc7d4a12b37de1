import { PipelineError } from './errors.ts';
import type { KeyChanges, Quarantine } from './fold.ts';
import { NO_BASE_ROW, outcomeOf } from './fold.ts';
import type { ApplyRequest, BusProgress, SinkChange } from './ports/sink.ts';
import type { Position } from './position.ts';
import { comparePositions } from './position.ts';

/** Refuses a batch that does not move each bus partition of its changes exactly once: its progress would not be that of its changes. */
export function checkMoves({ generation, moves, changes }: ApplyRequest): void {
  const moved = new Set(moves.map((move) => move.busPartition));
  if (moved.size === 0 || moved.size !== moves.length || changes.some((change) => !moved.has(change.busPartition)))
    throw new PipelineError('defect', `a batch of ${generation.table} does not move the progress of each of its bus partitions once.`);
}

/**
 * Takes out changes that are not above the row they meet; undefined when there are none. `bases` are the positions of the rows that were
 * found, by the ordinal of their key.
 */
export function aboveBases(
  keys: readonly KeyChanges[],
  bases: ReadonlyMap<number, Position>,
): { readonly keys: readonly KeyChanges[]; readonly defects: number } | undefined {
  let defects = 0;
  const kept: KeyChanges[] = [];
  for (const [ordinal, key] of keys.entries()) {
    const base = bases.get(ordinal);
    // Invariant 'progress-in-the-sink': a row never goes back.
    const changes = base === undefined ? key.changes : key.changes.filter(({ event }) => comparePositions(event.position, base) > 0);
    if (changes.length === key.changes.length) {
      kept.push(key);
      continue;
    }
    defects += key.changes.length - changes.length;
    if (changes.length > 0) kept.push({ key: key.key, changes, outcome: outcomeOf(changes) });
  }
  return defects === 0 ? undefined : { keys: kept, defects };
}

/** Changes that need a row where there is none: to be quarantined, unless they are rowless. Nothing is inserted for them. */
export function withoutBase(keys: readonly KeyChanges[], bases: ReadonlyMap<number, Position>): readonly Quarantine[] {
  return keys.flatMap(({ outcome }, ordinal) =>
    [...(bases.has(ordinal) ? [] : outcome.needBase), ...outcome.orphans].flatMap((change) =>
      change.event.rowless ? [] : [{ change, reason: NO_BASE_ROW }],
    ),
  );
}

/** True when one generation has still to read what another one of the same stream has passed, in any bus partition. */
export function isBehind(one: readonly BusProgress[], other: readonly BusProgress[]): boolean {
  const next = new Map(one.map((part) => [part.busPartition, part.next]));
  return other.some((part) => (next.get(part.busPartition) ?? 0) < part.next);
}

/** What is quarantined, in the order of the batch's changes. */
export function inBatchOrder(changes: readonly SinkChange[], quarantined: readonly Quarantine[]): readonly Quarantine[] {
  if (quarantined.length === 0) return quarantined;
  const reasons = new Map(quarantined.map((one) => [one.change, one]));
  return changes.flatMap((change) => reasons.get(change) ?? []);
}
