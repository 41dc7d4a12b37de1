import { followsChanges } from '@nanosync/core';
import type { PipelineStatus, Retention, TableStatus } from '@nanosync/runtime';
import { figuresLines, lagText } from '../figures-text.ts';
import { queryLines } from '../query-text.ts';
import { attentionLines, copyText, headline, putAside, shownState } from '../status-text.ts';
import { counted, countText, durationText, rateText, sizeText } from '../units-text.ts';
import type { Line, Tone } from './lines.ts';
import { bar, cell, line, wrapped } from './lines.ts';
import { toneOf } from './overview.ts';

const BAR = 12;

/** All of one pipeline: what it lacks first, then what moves, its tables, and who reads what. */
export function pipelineLines(pipeline: PipelineStatus, absent: readonly string[], columns: number): readonly Line[] {
  const { source, sink, type, retention } = pipeline;
  const text = (lines: readonly string[], tone?: Tone) =>
    lines.flatMap((each) => wrapped(each, columns, indentOf(each)).map((part) => line(part, tone)));
  const missing = absent.map((service) => `  no ${service} works on it: start nanosync service ${service}`);
  const from = `${source.connection} (${source.type}) -> ${sink.connection} (${sink.type}), ${type}`;
  return [
    ...text([from], 'faint'),
    ...text([headline(pipeline)], toneOf(pipeline)),
    ...text([...missing, ...attentionLines(pipeline)], pipeline.healthy ? 'warning' : 'bad'),
    line(''),
    ...text(movingLines(pipeline)),
    ...(retention === null ? [] : text(budgetLines(retention), retention.state === 'safe' ? undefined : 'warning')),
    ...tablesLines(pipeline.tables, followsChanges({ replicationType: type }), columns),
    ...workersLines(pipeline, columns),
  ];
}

function movingLines(pipeline: PipelineStatus): readonly string[] {
  if (pipeline.query !== null) return queryLines(pipeline);
  return followsChanges({ replicationType: pipeline.type }) ? figuresLines(pipeline) : [`  ${copyText(pipeline)}`];
}

/** How much of what the source may keep for the pipeline it keeps; nothing where there is no limit. */
function budgetLines({ state, keptBytes, limitBytes }: Retention): readonly string[] {
  if (limitBytes === null || limitBytes <= 0 || state === 'none') return [];
  const share = keptBytes / limitBytes;
  return [`  budget      ${bar(share, BAR)} ${Math.floor(share * 100)}% of ${sizeText(limitBytes)} used`];
}

/** A line a table, and one more for its rows and partitions while it is copied or for its copy. */
function tablesLines(tables: readonly TableStatus[], follows: boolean, columns: number): readonly Line[] {
  if (tables.length === 0) return [];
  const name = Math.min(Math.max(...tables.map(({ table }) => table.length)), Math.max(12, Math.floor(columns / 3)));
  const state = Math.max(...tables.map((table) => shownState(table).length));
  const below = ' '.repeat(name + 4);
  return [
    line(''),
    line('TABLES', 'title'),
    ...tables.flatMap((table) => {
      const [first, ...rest] = [...putAside(table.older ?? table), ...movesOf(table, follows)];
      const lead = `  ${cell(table.table, name)}  ${cell(shownState(table), state)}  `;
      const lines = [
        ...wrapped(`${lead}${[first, ...rest].join(', ')}`, columns, below),
        ...(isCopied(table) ? [] : copyLines(table).flatMap((text) => wrapped(`${below}${text}`, columns, below))),
      ];
      return lines.map((text) => line(text, tableTone(table)));
    }),
  ];
}

function isCopied({ state }: TableStatus): boolean {
  return state !== 'snapshotting' && state !== 'planned';
}

function movesOf(table: TableStatus, follows: boolean): readonly string[] {
  const { lag, perSecond, rows, changesApplied, older } = table;
  const behind = lag === null ? [] : [`lag ${lagText(lag)}`];
  if (older !== null) return [...behind, `${countText(older.waiting)} waiting`, 'copying anew'];
  if (!isCopied(table)) return table.adopts ? ['begins without a copy'] : [`about ${counted(rows.estimated, 'row')}`];
  if (!follows) return [counted(rows.built, 'row')];
  const rate = perSecond === null ? [] : [`${rateText(perSecond.applied)} changes/s`];
  return [...behind, ...rate, `${countText(table.waitingChanges)} waiting`, `${countText(changesApplied)} applied`];
}

function copyLines({ adopts, partitions, rows, perSecond, secondsLeft, failure }: TableStatus): readonly string[] {
  if (failure !== null || adopts) return [];
  const { done, total, durable, reading, repeated } = partitions;
  const notes = [
    `${done} of ${counted(total, 'partition')}`,
    ...(reading > 0 ? [`${reading} being read`] : []),
    ...(durable < done ? [`${durable} durable`] : []),
    ...(repeated > 0 ? [`${repeated} repeated`] : []),
  ];
  const moves = [
    `${countText(Math.max(rows.staged, rows.read))} rows`,
    ...(perSecond === null ? [] : [`${rateText(perSecond.rows)} rows/s`]),
    ...(secondsLeft === null ? [] : [`${durationText(secondsLeft)} left`]),
  ];
  return [`${bar(total === 0 ? 0 : done / total, BAR)} ${notes.join(', ')}`, moves.join(', ')];
}

function tableTone({ failure, older, quarantined, defects }: TableStatus): Tone | undefined {
  const isIll = failure !== null || (older !== null && older.failure !== null) || quarantined > 0 || defects > 0;
  return isIll ? 'bad' : undefined;
}

/** Which worker process reads which partitions; a worker is known by the random id that it gave itself. */
function workersLines({ tables, phase }: PipelineStatus, columns: number): readonly Line[] {
  const readings = tables.flatMap(({ table, reading }) => reading.map((each) => ({ table, ...each })));
  if (readings.length === 0) return phase === 'snapshotting' ? [line(''), line('WORKERS', 'title'), line('  none reads just now')] : [];
  const workers = Map.groupBy(readings, ({ reader }) => reader ?? 'unknown');
  const lines = [...workers].flatMap(([worker, taken]) =>
    [...Map.groupBy(taken, ({ table }) => table)].flatMap(([table, partitions]) => {
      const named = partitions.map(({ partition, attempts, held }) => {
        const notes = [...(attempts > 1 ? [`attempt ${attempts}`] : []), ...(held ? [] : ['not heard of'])];
        return notes.length === 0 ? `${partition + 1}` : `${partition + 1} (${notes.join(', ')})`;
      });
      const noun = partitions.length === 1 ? 'partition' : 'partitions';
      return wrapped(`  ${cell(worker.slice(0, 8), 8)}  ${table}  ${noun} ${named.join(', ')}`, columns, ' '.repeat(12));
    }),
  );
  return [line(''), line('WORKERS', 'title'), ...lines.map((text) => line(text))];
}

/** What a wrapped line goes on under: the text behind a label, or a little further in. */
function indentOf(text: string): string {
  const label = /^ {2}(?:lag|changes|source log|L0, L1|budget) +/.exec(text);
  return ' '.repeat(label === null ? (/^ */.exec(text)?.[0].length ?? 0) + 2 : label[0].length);
}
