import type { AnswerOf, CellJson } from '@nanosync/api';
import type { Clock } from '@nanosync/core';
import { plainText } from './plain-text.ts';

type Line = AnswerOf<'verify'>;
type TableLine = Extract<Line, { readonly kind: 'table' }>;
type DifferenceLine = Extract<Line, { readonly kind: 'difference' }>;

/** A line for people; what is no result goes aside. */
export interface Said {
  readonly aside: boolean;
  readonly text: string;
}

/** Long work says every so often where it is. */
const AGAIN_MS = 5000;
/** Longer values are cut; `--json` has all of them. */
const LONGEST = 60;

const STEPS = { waiting: 'waiting for the sink', reading: 'reading', 'looking-again': 'looking again', settling: 'looking at single keys' };
const HOW = {
  missing: 'missing at the sink',
  extra: 'extra at the sink',
  changing: 'changed each time it was looked at, so it is not known whether it is equal',
  held: 'is hidden by a transaction that is open at the source, so it is not known whether it is equal',
};

/** What `verify` says to people. */
export class VerifyText {
  private readonly clock: Clock;
  private step = '';
  private saidMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** The lines for a line of the server's answer. */
  linesOf(line: Line): readonly Said[] {
    switch (line.kind) {
      case 'note':
        return [{ aside: true, text: `note: ${line.says}` }];
      case 'progress':
        return this.progress(line);
      case 'difference':
        return differenceLines(line);
      case 'table':
        return [{ aside: false, text: tableText(line) }];
      case 'end':
        return line.tables > 1 ? [{ aside: false, text: `${line.tables} tables: ${OUTCOMES[line.outcome]}` }] : [];
      case 'error':
        return [];
    }
  }

  private progress({ table, step, done, of }: Extract<Line, { readonly kind: 'progress' }>): readonly Said[] {
    const now = this.clock.monotonicMs();
    const isNew = this.step !== `${table} ${step}`;
    if (now - this.saidMs < (isNew ? AGAIN_MS / 5 : AGAIN_MS)) return [];
    this.step = `${table} ${step}`;
    this.saidMs = now;
    const far = of === 0 ? '' : `: ${done} of about ${Math.max(of, done)} ${step === 'settling' ? 'keys' : 'rows of both sides'}`;
    return [{ aside: true, text: `${table}: ${STEPS[step]}${far}` }];
  }
}

const OUTCOMES = {
  equal: 'equal',
  different: 'different',
  undecided: 'it could not be told of every key',
  'not-compared': 'not all could be compared',
};

function differenceLines({ table, how, key, columns, source, sink }: DifferenceLine): readonly Said[] {
  const what = how === 'different' ? `differs in ${columns.join(', ')}` : HOW[how];
  const named = Object.entries(key).map(([name, value]) => `${name}=${value}`);
  const values = columns.map((column) => {
    const [ours, theirs] = shown(source?.[column], sink?.[column]);
    return `  ${column}: ${ours} at the source, ${theirs} at the sink`;
  });
  const lines = [`${table} (${named.join(', ')}): ${what}`, ...(source === undefined && sink === undefined ? [] : values)];
  return lines.map((text) => ({ aside: false, text: plainText(text) }));
}

/** Both values, of long ones the part where they begin to differ. */
function shown(...values: readonly [CellJson | undefined, CellJson | undefined]): readonly [string, string] {
  const [one, other] = values.map((value) => JSON.stringify(value ?? null)) as [string, string];
  let same = 0;
  while (same < one.length && one[same] === other[same]) same++;
  const from = Math.max(0, same - LONGEST / 3);
  const cut = (text: string) => `${from > 0 ? '...' : ''}${text.slice(from, from + LONGEST)}${text.length > from + LONGEST ? '...' : ''}`;
  return one.length <= LONGEST && other.length <= LONGEST ? [one, other] : [cut(one), cut(other)];
}

function tableText(line: TableLine): string {
  const { table } = line;
  if (line.outcome === 'not-compared') return `${table}: not compared: ${line.reason}${line.cure === null ? '' : ` ${line.cure}`}`;
  const { sourceRows, sinkRows, counts, position, seconds } = line;
  const parts = [
    `${sourceRows} ${sourceRows === 1 ? 'row' : 'rows'} at the source, ${sinkRows} at the sink`,
    ...(line.outcome === 'equal' ? [] : [countsText(line)]),
    ...(line.quarantined > 0
      ? [`${line.quarantined} were put into quarantine, which may be the reason (nanosync tap --topic quarantine)`]
      : []),
    position === null ? 'as they are' : `at position ${position} and later`,
    `${seconds.toFixed(1)} s`,
  ];
  const { changing, held } = counts;
  const isEqual = line.outcome === 'equal' ? 'equal' : line.outcome === 'different' ? 'DIFFERENT' : 'undecided';
  return `${table}: ${isEqual}; ${parts.join('; ')}${changing + held > 0 ? '; try again for those that could not be told' : ''}`;
}

function countsText({ counts, unsendable, notSettled, buckets }: Exclude<TableLine, { readonly outcome: 'not-compared' }>): string {
  const counted: readonly (readonly [number, string])[] = [
    [counts.different, 'different'],
    [counts.missing, 'missing'],
    [counts.extra, 'extra'],
    [counts.changing, 'kept changing'],
    [counts.held, 'hidden by an open transaction'],
    [unsendable, 'cannot be sent'],
    [notSettled, 'more seem to differ and were not looked at'],
  ];
  const parts = counted.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  if (buckets.notExamined > 0)
    parts.push(`${buckets.notExamined} of ${buckets.of} parts of the keys seem to differ and were not looked at`);
  return parts.join(', ');
}
