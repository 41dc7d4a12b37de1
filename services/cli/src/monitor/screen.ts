import type { StatusAnswer } from '@nanosync/api';
import type { PipelineStatus } from '@nanosync/runtime';
import { timeText } from '@nanosync/runtime';
import type { Key } from './keys.ts';
import type { Line } from './lines.ts';
import { apart, fitted, line, span, wrapped } from './lines.ts';
import { overviewLines } from './overview.ts';
import { pipelineLines } from './pipeline-page.ts';

/** How large the terminal is. */
export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** What the monitor knows and shows. */
export interface Screen {
  /** The last answer of the server, with when it came. */
  readonly answer: StatusAnswer;
  readonly answeredMs: number;
  /** Why the server does not answer since, or null. */
  readonly trouble: string | null;
  /** The pipeline that the cursor is on; one that is gone counts as the first. */
  readonly chosen: string | null;
  /** The pipeline whose page is shown, or null: the overview is. */
  readonly page: string | null;
  /** Lines of the page above the first that is seen. */
  readonly scroll: number;
}

/** The screen before any key. */
export function screenOf(answer: StatusAnswer, answeredMs: number, page: string | null): Screen {
  return { answer, answeredMs, trouble: null, chosen: page, page, scroll: 0 };
}

/** What a key does; undefined: the monitor ends. */
export function afterKey(screen: Screen, key: Key, size: Size): Screen | undefined {
  if (key === 'quit') return undefined;
  if (screen.page === null) {
    if (key === 'enter') return { ...screen, page: chosenOf(screen)?.name ?? null, scroll: 0 };
    return { ...screen, chosen: movedBy(screen, key, size) };
  }
  if (key === 'back') return { ...screen, chosen: screen.page, page: null, scroll: 0 };
  const last = lastScroll(screen, size);
  const step = { up: -1, down: 1, 'page-up': -bodyRows(size), 'page-down': bodyRows(size), first: -Infinity, last: Infinity, enter: 0 }[
    key
  ];
  return { ...screen, scroll: between(0, Math.min(screen.scroll, last) + step, last) };
}

/** The whole screen: exactly as many lines as the terminal has rows, none longer than it has columns. */
export function screenLines(screen: Screen, size: Size, nowMs: number): readonly Line[] {
  const { columns, rows } = size;
  const body = bodyLines(screen, columns);
  const room = bodyRows(size);
  const scroll = firstShown(screen, size, body.length);
  const shown = body.slice(scroll, scroll + room);
  const filled = [...shown, ...Array.from({ length: Math.max(0, room - shown.length) }, () => line(''))];
  const more = { above: scroll, below: Math.max(0, body.length - scroll - room) };
  return [head(screen, columns, nowMs), line(''), ...filled, foot(screen, columns, { nowMs, ...more })]
    .slice(0, rows)
    .map((each) => fitted(each, columns));
}

function bodyLines(screen: Screen, columns: number): readonly Line[] {
  const { answer, page } = screen;
  if (page === null) return overviewLines(answer, chosenOf(screen)?.name ?? null, columns);
  const pipeline = answer.pipelines.find(({ name }) => name === page);
  if (pipeline === undefined) return wrapped(`There is no pipeline ${page} any more.`, columns).map((text) => line(text, 'warning'));
  return pipelineLines(pipeline, answer.absent?.[page] ?? [], columns);
}

/** Two lines above what is shown, one below. */
function bodyRows({ rows }: Size): number {
  return Math.max(1, rows - 3);
}

function lastScroll(screen: Screen, size: Size): number {
  return Math.max(0, bodyLines(screen, size.columns).length - bodyRows(size));
}

/** A page is scrolled; the overview keeps its cursor in sight. */
function firstShown(screen: Screen, size: Size, lines: number): number {
  const last = Math.max(0, lines - bodyRows(size));
  if (screen.page !== null) return Math.min(screen.scroll, last);
  const cursor = 1 + screen.answer.pipelines.findIndex(({ name }) => name === chosenOf(screen)?.name);
  return between(0, cursor - bodyRows(size) + 2, last);
}

function chosenOf({ answer, chosen }: Screen): PipelineStatus | undefined {
  return answer.pipelines.find(({ name }) => name === chosen) ?? answer.pipelines[0];
}

function movedBy(screen: Screen, key: Exclude<Key, 'quit' | 'enter'>, size: Size): string | null {
  const { pipelines } = screen.answer;
  const at = pipelines.findIndex(({ name }) => name === chosenOf(screen)?.name);
  const page = bodyRows(size) - 1;
  const step = { up: -1, down: 1, 'page-up': -page, 'page-down': page, first: -Infinity, last: Infinity, back: 0 }[key];
  return pipelines[between(0, at + step, pipelines.length - 1)]?.name ?? null;
}

function between(least: number, value: number, most: number): number {
  return Math.max(least, Math.min(value, most));
}

function head({ answer, page }: Screen, columns: number, nowMs: number): Line {
  const { pipelines } = answer;
  const ill = pipelines.filter(({ healthy }) => !healthy).length;
  const count = `${pipelines.length} ${pipelines.length === 1 ? 'pipeline' : 'pipelines'}`;
  const attention = ill === 0 ? [] : [span(', '), span(`${ill} ${ill === 1 ? 'needs' : 'need'} attention`, 'bad')];
  const title = page === null ? [] : [span(`  ${page}`, 'title')];
  return apart([span('nanosync monitor', 'title'), ...title], [span(count), ...attention, span(`  ${clockText(nowMs)}`, 'faint')], columns);
}

function foot(
  { trouble, page, answeredMs }: Screen,
  columns: number,
  { nowMs, above, below }: { readonly nowMs: number; readonly above: number; readonly below: number },
): Line {
  if (trouble !== null) {
    const seconds = Math.max(0, Math.round((nowMs - answeredMs) / 1000));
    return fitted(line(`NO ANSWER for ${seconds} s, trying again: ${trouble}`, 'bad'), columns);
  }
  const keys = page === null ? 'up/down choose  Enter open  q quit' : 'up/down scroll  Esc back  q quit';
  const more = [...(above > 0 ? [`${above} above`] : []), ...(below > 0 ? [`${below} below`] : [])].join(', ');
  return apart(line(keys, 'faint'), line(more, 'warning'), columns);
}

function clockText(ms: number): string {
  return `${timeText(ms).slice(11, 19)} UTC`;
}
