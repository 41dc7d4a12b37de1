import type { Position } from '@nanosync/core';
import { PipelineError, parsePosition, positionOf } from '@nanosync/core';
import { parseDuration } from '@nanosync/runtime';

/** Where `tap` begins or ends: at the first message kept, at what comes next, at a time, or at a position. */
export type Bound =
  | { readonly at: 'beginning' | 'now' }
  | { readonly at: 'time'; readonly ms: number }
  | { readonly at: 'position'; readonly position: Position };

const LSN = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;
const ISO = /^\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?$/;

/** Reads `beginning`, `now`, `10m` (so long ago), an ISO time (UTC unless it says otherwise), a position or a PostgreSQL LSN. */
export function parseBound(flag: string, text: string, nowMs: number): Bound {
  if (text === 'beginning' || text === 'now') return { at: text };
  const ago = parseDuration(text);
  if (ago !== undefined) return { at: 'time', ms: nowMs - ago };
  const lsn = LSN.exec(text);
  if (lsn !== null) return { at: 'position', position: positionOf((BigInt(`0x${lsn[1]}`) << 32n) | BigInt(`0x${lsn[2]}`), 0n) };
  if (ISO.test(text)) {
    const zoned = /(?:Z|[+-]\d\d:?\d\d)$/.test(text.slice(10)) || text.length === 10 ? text : `${text}Z`;
    const ms = Date.parse(zoned.replace(' ', 'T'));
    if (!Number.isNaN(ms)) return { at: 'time', ms };
  }
  try {
    return { at: 'position', position: parsePosition(canonical(text.toUpperCase())) };
  } catch {
    throw new PipelineError('config', `${flag} ${JSON.stringify(text.slice(0, 80))} is neither a time nor a position.`, {
      hint: 'Write beginning, now, 10m, 2026-01-31T12:00:00Z, a position as status prints it, or an LSN like 0/575E220.',
    });
  }
}

/** A position as status shows it, without leading zeros, in full. */
function canonical(text: string): string {
  if (!text.includes('+')) return text;
  return text
    .split('+')
    .map((section) => section.padStart(16, '0'))
    .join('/');
}
