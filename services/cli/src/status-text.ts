import type { Failure, OlderReport } from '@nanosync/core';
import { followsChanges, shortPosition } from '@nanosync/core';
import type { MissingRows, PipelineStatus, TableStatus, Trouble } from '@nanosync/runtime';
import { isInDanger, needsPerson } from '@nanosync/runtime';
import { figuresLines, lagText } from './figures-text.ts';
import { queryHeadline, queryLines } from './query-text.ts';
import { counted, countText, durationText, rateText } from './units-text.ts';

/** A pipeline's status as lines for a terminal. What needs a person stands right under the name, with its cure. */
export function statusText(pipeline: PipelineStatus): readonly string[] {
  const lines = [`${pipeline.name}  ${headline(pipeline)}`, ...attentionLines(pipeline)];
  if (pipeline.query !== null) return [...lines, ...queryLines(pipeline)];
  const follows = followsChanges({ replicationType: pipeline.type });
  lines.push(...(follows ? figuresLines(pipeline) : [`  ${copyText(pipeline)}`]));
  return [...lines, ...tableLines(pipeline.tables, follows)];
}

/** What needs a person, with its cure; then what the pipeline waits for and what was asked of it. */
export function attentionLines(pipeline: PipelineStatus): readonly string[] {
  const lines: string[] = [];
  if (pipeline.failure !== null) lines.push(...failureLines('  ', pipeline.failure));
  for (const table of pipeline.tables) if (table.failure !== null) lines.push(...failureLines(`  ${table.table}: `, table.failure));
  for (const { table, older } of pipeline.tables)
    if (older !== null && older.failure !== null) lines.push(...failureLines(`  ${table}, as it is until the switch: `, older.failure));
  for (const { service, reason, seconds } of pipeline.troubles)
    if (reason !== pipeline.waiting) lines.push(`  ${service} tries again: ${reason}${sinceText(seconds)}`);
  if (pipeline.quarantined > 0) lines.push(`  ${quarantineCure(pipeline)}`);
  if (pipeline.waiting !== null) lines.push(`  waiting: ${pipeline.waiting}`);
  lines.push(...pauseLines(pipeline));
  if (pipeline.request !== null && pipeline.query === null)
    lines.push(`  asked for: ${pipeline.request}${pipeline.intent.run === 'paused' ? ', once it is resumed' : ''}`);
  if (pipeline.copyStops)
    lines.push(`  asked for: no more rows are copied${pipeline.intent.run === 'paused' ? ', once it is resumed' : ''}`);
  for (const { table, missing } of pipeline.tables) if (missing !== null) lines.push(...missingLines(pipeline, table, missing));
  if (pipeline.toCopy.length > 0) lines.push(`  to be copied anew: ${pipeline.toCopy.join(', ')}`);
  if (pipeline.leaving.length > 0) lines.push(`  being taken out: ${pipeline.leaving.join(', ')}`);
  if (pipeline.toAdd.length > 0) lines.push(`  to be added: ${pipeline.toAdd.join(', ')}`);
  return lines;
}

/** What was not copied when the copy was stopped, and what copies it. */
function missingLines({ name, tables, toCopy }: PipelineStatus, table: string, { partitions, of, ranges }: MissingRows): readonly string[] {
  const isComing = toCopy.includes(table) || tables.some((one) => one.table === table && one.older !== null);
  const [shown, more] = [ranges.slice(0, 3).join(', '), partitions > 3 ? ', ...' : ''];
  const which = `${partitions} of ${counted(of, 'partition')}${shown === '' ? '' : ` (${shown}${more})`}`;
  const what = of === 0 ? 'no row of it was copied' : `rows that were not copied: ${which}`;
  return [
    `  ${table}: ${what}; those that have not changed since L0 are missing at the sink`,
    ...(isComing ? [] : [`    run: nanosync pipeline resnapshot ${name} --table ${table}`]),
  ];
}

/** What stands still because users want it so, what that means meanwhile, and the way back. */
function pauseLines({ name, phase, published, intent, query }: PipelineStatus): readonly string[] {
  const lines: string[] = [];
  if (intent.run === 'paused' && query === null) {
    const since = published === null ? '' : `; the source keeps its log from ${published} on`;
    if (phase === 'paused') lines.push(`  paused: nothing is read${since}; go on with: nanosync pipeline resume ${name}`);
    else if (phase === 'failed' || phase === 'completed') lines.push(`  asked to pause, but it is ${phase}`);
    else lines.push('  pausing');
  } else if (phase === 'paused') lines.push('  resuming');
  if (intent.sink === 'paused') lines.push(`  sink paused: changes wait on the bus; go on with: nanosync pipeline resume ${name} --sink`);
  return lines;
}

/** The phase, or what a query pipeline does. */
export function shownPhase(pipeline: PipelineStatus): string {
  return pipeline.query === null ? pipeline.phase : queryHeadline(pipeline);
}

/** Where a pipeline stands, and in short what it lacks. */
export function headline(pipeline: PipelineStatus): string {
  const { healthy, quarantined, defects, toAdd } = pipeline;
  const phase = shownPhase(pipeline);
  const live = phase === 'streaming' && toAdd.length === 0 && pipeline.tables.every((table) => table.state === 'live');
  const sink = pipeline.intent.sink === 'paused' ? ', sink paused' : '';
  if (healthy) return `${live ? 'streaming, live' : phase}${sink}`;
  const reasons: string[] = [];
  if (pipeline.failure !== null || phase === 'failed') reasons.push('failed');
  const failedTables = pipeline.tables.filter((table) => table.failure !== null || table.phase === 'failed').length;
  if (failedTables > 0) reasons.push(`${counted(failedTables, 'table')} failed`);
  if (quarantined > 0) reasons.push(`${counted(quarantined, 'row')} in quarantine`);
  for (const trouble of pipeline.troubles) if (needsPerson(trouble)) reasons.push(troubleText(trouble, toAdd.length));
  if (pipeline.retention !== null && isInDanger(pipeline)) reasons.push('the source drops what was not read');
  if (pipeline.query?.last?.failure) reasons.push('its last run failed');
  if ((pipeline.query?.last?.quarantined ?? 0) > 0) reasons.push('rows left out');
  if (defects > 0) reasons.push(`${counted(defects, 'defect')} counted`);
  return `${phase}, NEEDS ATTENTION: ${reasons.join(', ')}`;
}

/** What the rows of a pipeline that only copies are of. */
export function copyText({ name, phase, tables }: PipelineStatus): string {
  const moments = new Set(tables.map(({ l0 }) => l0));
  const one = moments.size > 1 ? 'each table of one moment, not all of the same' : 'all tables of one moment';
  if (phase !== 'completed') return `copies once, ${one}: while it reads, the source keeps old row versions from vacuum`;
  return `copied once, ${one}; to copy again: nanosync pipeline resnapshot ${name}`;
}

function troubleText({ partial, service, manual }: Trouble, toAdd: number): string {
  if (partial) return `${counted(toAdd, 'new table')} cannot be added, the others go on`;
  return `${service} ${manual ? 'cannot go on' : 'does not work'}`;
}

function sinceText(seconds: number | null): string {
  return seconds === null || seconds < 10 ? '' : ` (for ${durationText(seconds)})`;
}

/** Rows that are in quarantine are not at the sink; why stands in the log, their values do not. */
function quarantineCure({ name }: PipelineStatus): string {
  return `rows in quarantine are not at the sink: the log's "quarantined" lines say why; correct them at the source, then run: nanosync pipeline resnapshot ${name}`;
}

function failureLines(lead: string, failure: Failure): readonly string[] {
  return [`${lead}${failure.reason}`, `${' '.repeat(4)}cure: ${failure.cure}`];
}

/** Two lines a table: how it moves, and how far it is; two more for a copy that is made beside it. */
function tableLines(tables: readonly TableStatus[], follows: boolean): readonly string[] {
  const name = Math.max(...tables.map(({ table }) => table.length), 0);
  const state = Math.max(...tables.map((table) => shownState(table).length), 0);
  return tables.flatMap((table) => {
    const isCopied = table.state !== 'snapshotting' && table.state !== 'planned';
    const moving = !isCopied ? copied(table) : follows ? followed(table) : [];
    const counts = !isCopied ? copiedCounts(table) : follows ? followedCounts(table) : rowsText(table);
    const line = (...moves: readonly string[]) =>
      `  ${table.table.padEnd(name)}  ${shownState(table).padEnd(state)}  ${moves.join(', ')}`.trimEnd();
    const figures = `${counts}; ${follows ? places(table) : `as of ${place(table.l0)}`}`;
    if (table.older === null) return [line(...putAside(table), ...moving), `    ${figures}`];
    return [
      line(...putAside(table.older), ...lagNote(table), `${countText(table.older.waiting)} waiting`),
      `    ${olderCounts(table.older)}`,
      `    copying anew: ${[table.state, ...putAside(table), ...moving].join(', ')}`,
      `      ${figures}`,
    ];
  });
}

function lagNote({ lag }: Pick<TableStatus, 'lag'>): readonly string[] {
  return lag === null ? [] : [`lag ${lagText(lag)}`];
}

/** What users see of a table that is copied anew goes on. */
export function shownState({ state, older }: TableStatus): string {
  return older === null ? state : older.failure === null ? 'live' : 'stopped';
}

function olderCounts({ rowsBuilt, changesApplied, watermark }: OlderReport): string {
  return `${counted(rowsBuilt, 'row')} copied, ${counted(changesApplied, 'change')} applied; watermark ${place(watermark)}`;
}

/** Counts of what is not at the sink, or should not be there. */
export function putAside({ quarantined, defects }: Pick<TableStatus, 'quarantined' | 'defects'>): readonly string[] {
  return [...(quarantined > 0 ? [`QUARANTINED ${countText(quarantined)}`] : []), ...(defects > 0 ? [`DEFECTS ${countText(defects)}`] : [])];
}

function copied({ adopts, partitions, perSecond, secondsLeft }: TableStatus): readonly string[] {
  if (adopts) return ['begins without a copy'];
  return [
    `${partitions.done} of ${counted(partitions.total, 'partition')}`,
    ...(perSecond === null ? [] : [`${rateText(perSecond.rows)} rows/s`]),
    ...(secondsLeft === null ? [] : [`${durationText(secondsLeft)} left`]),
  ];
}

function copiedCounts({ adopts, partitions: { durable, done, repeated }, rows }: TableStatus): string {
  if (adopts) return 'with the rows that the sink has';
  const notes = [...(durable < done ? [`${durable} durable`] : []), ...(repeated > 0 ? [`${repeated} repeated`] : [])];
  const partitions = notes.length === 0 ? '' : ` (partitions: ${notes.join(', ')})`;
  return `${countText(Math.max(rows.staged, rows.read))} of about ${counted(rows.estimated, 'row')}${partitions}`;
}

function followed({ lag, perSecond, waitingChanges }: TableStatus): readonly string[] {
  return [
    ...lagNote({ lag }),
    ...(perSecond === null ? [] : [`${rateText(perSecond.applied)} changes/s`]),
    `${countText(waitingChanges)} waiting`,
  ];
}

function followedCounts(table: TableStatus): string {
  return `${rowsText(table)}, ${counted(table.changesApplied, 'change')} applied`;
}

function rowsText({ adopts, rows, partitions: { done, total } }: TableStatus): string {
  if (adopts) return `began without a copy, with ${counted(rows.built, 'row')} of the sink`;
  return `${counted(rows.built, 'row')} copied (${done} of ${counted(total, 'partition')})`;
}

function places({ l0, l1, watermark }: TableStatus): string {
  return `L0 ${place(l0)}, L1 ${place(l1)}, watermark ${place(watermark)}`;
}

function place(position: string | null): string {
  return position === null ? '-' : shortPosition(position);
}
