import type { BusProgress, Position, ProgressMove, SinkChange, TableSchema } from '@nanosync/core';
import { comparePositions, PipelineError, parsePosition } from '@nanosync/core';
import type { DecodedMessage } from './change-decoder.ts';

/** What a run of messages of one bus partition comes to for one generation. */
export interface Step {
  readonly move: ProgressMove;
  readonly changes: readonly SinkChange[];
  /** Why nothing behind this run may be applied, or null. */
  readonly stop: string | null;
  readonly duplicates: number;
}

/**
 * Sorts out a run of messages of one bus partition (pure). A lower session, or a position at or below the last one, is a
 * duplicate. Events of another anchor end the generation's stream for good.
 */
export function takeMessages(input: {
  readonly before: BusProgress;
  readonly decoded: readonly DecodedMessage[];
  readonly anchor: string;
  /** The generation has these columns. */
  readonly fits: (schema: TableSchema) => boolean;
}): Step {
  const { before, decoded } = input;
  let { session, last, floor } = before;
  let stop: string | null = null;
  let duplicates = 0;
  let to = before.next;
  const changes: SinkChange[] = [];
  for (const message of decoded) {
    if (message.offset !== to) throw new PipelineError('defect', `Offset ${to} was expected and ${message.offset} was read.`);
    stop = stopReason(message, input.anchor, session);
    const position = parsePosition(message.event.position);
    // Invariant 'gapless-sessions': a dead session's late message, or one that comes again.
    const isDuplicate = message.event.session < session || comparePositions(position, last) <= 0;
    if (message.kind === 'change' && !isDuplicate && !input.fits(message.schema)) stop = 'Its changes have other columns from here on.';
    if (stop !== null) break; // Not moved past: it stops every later owner too.
    to = message.offset + 1;
    if (isDuplicate) {
      duplicates++;
      continue;
    }
    session = message.event.session;
    last = position;
    if (message.kind === 'change') {
      changes.push({ busPartition: before.busPartition, key: message.key, event: message.event });
      if (message.event.op === 't') floor = laterFloor(floor, position);
    }
  }
  return {
    move: { busPartition: before.busPartition, from: before.next, to, session, last, floor },
    changes,
    stop,
    duplicates,
  };
}

/** Why this message ends the generation's stream, or null. What a lower session says is out of date and ends nothing. */
function stopReason(message: DecodedMessage, anchor: string, session: number): string | null {
  if (message.kind !== 'control' || message.event.session < session) return null;
  // Invariant 'gate': events of another anchor end the generation's stream.
  if (message.event.anchor !== anchor) return 'The source was anchored anew; this generation gets no further changes.';
  return message.event.kind === 'schema' ? message.event.detail : null;
}

function laterFloor(floor: Position | null, position: Position): Position {
  return floor === null || comparePositions(floor, position) < 0 ? position : floor;
}
