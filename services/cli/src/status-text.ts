import type { Failure } from '@nanosync/core';
import { followsChanges } from '@nanosync/core';
import type { PipelineStatus, TableStatus } from '@nanosync/runtime';

/** A pipeline's status as lines for a terminal. What needs a person stands right under the name, with its cure. */
export function statusText(pipeline: PipelineStatus): readonly string[] {
  const lines = [`${pipeline.name}  ${headline(pipeline)}`];
  if (pipeline.failure !== null) lines.push(...failureLines('  ', pipeline.failure));
  for (const table of pipeline.tables) if (table.failure !== null) lines.push(...failureLines(`  ${table.table}: `, table.failure));
  for (const { service, reason } of pipeline.troubles) if (reason !== pipeline.waiting) lines.push(`  ${service} tries again: ${reason}`);
  if (pipeline.quarantined > 0) lines.push(`  ${quarantineCure(pipeline)}`);
  if (pipeline.waiting !== null) lines.push(`  waiting: ${pipeline.waiting}`);
  lines.push(...pauseLines(pipeline));
  if (pipeline.request !== null)
    lines.push(`  asked for: ${pipeline.request}${pipeline.intent.run === 'paused' ? ', once it is resumed' : ''}`);
  if (pipeline.toAdd.length > 0) lines.push(`  to be added: ${pipeline.toAdd.join(', ')}`);
  if (followsChanges({ replicationType: pipeline.type })) lines.push(`  L0 ${pipeline.l0 ?? '-'}`, `  L1 ${pipeline.l1 ?? '-'}`);
  else lines.push(`  ${copyText(pipeline)}`);
  return [...lines, ...columns(pipeline.tables.map(tableCells))];
}

/** What stands still because users want it so, what that means meanwhile, and the way back. */
function pauseLines({ name, phase, published, intent }: PipelineStatus): readonly string[] {
  const lines: string[] = [];
  if (intent.run === 'paused') {
    const since = published === null ? '' : `; the source keeps its log from ${published} on`;
    if (phase === 'paused') lines.push(`  paused: nothing is read${since}; go on with: nanosync pipeline resume ${name}`);
    else if (phase === 'failed' || phase === 'completed') lines.push(`  asked to pause, but it is ${phase}`);
    else lines.push('  pausing');
  } else if (phase === 'paused') lines.push('  resuming');
  if (intent.sink === 'paused') lines.push(`  sink paused: changes wait on the bus; go on with: nanosync pipeline resume ${name} --sink`);
  return lines;
}

function headline(pipeline: PipelineStatus): string {
  const { phase, healthy, quarantined, defects, toAdd } = pipeline;
  const live = phase === 'streaming' && toAdd.length === 0 && pipeline.tables.every((table) => table.state === 'live');
  const sink = pipeline.intent.sink === 'paused' ? ', sink paused' : '';
  if (healthy) return `${live ? 'streaming, live' : phase}${sink}`;
  const reasons: string[] = [];
  if (pipeline.failure !== null || phase === 'failed') reasons.push('failed');
  const failedTables = pipeline.tables.filter((table) => table.failure !== null || table.phase === 'failed').length;
  if (failedTables > 0) reasons.push(`${counted(failedTables, 'table')} failed`);
  if (quarantined > 0) reasons.push(`${counted(quarantined, 'row')} in quarantine`);
  if (pipeline.troubles.some(({ manual }) => manual)) reasons.push('cannot go on');
  if (defects > 0) reasons.push(`${counted(defects, 'defect')} counted`);
  return `${phase}, NEEDS ATTENTION: ${reasons.join(', ')}`;
}

function copyText({ name, phase, tables }: PipelineStatus): string {
  const moments = new Set(tables.map(({ l0 }) => l0));
  const one = moments.size > 1 ? 'each table of one moment, not all of the same' : 'all tables of one moment';
  if (phase !== 'completed') return `copies once, ${one}: while it reads, the source keeps old row versions from vacuum`;
  return `copied once, ${one}; to copy again: nanosync pipeline resnapshot ${name}`;
}

/** Rows that are in quarantine are not at the sink; why stands in the log, their values do not. */
function quarantineCure({ name }: PipelineStatus): string {
  return `rows in quarantine are not at the sink: the log's "quarantined" lines say why; correct them at the source, then run: nanosync pipeline resnapshot ${name}`;
}

function failureLines(lead: string, failure: Failure): readonly string[] {
  return [`${lead}${failure.reason}`, `${' '.repeat(4)}cure: ${failure.cure}`];
}

function tableCells(table: TableStatus): readonly string[] {
  const { partitions, rows } = table;
  const building = table.state === 'snapshotting' || table.state === 'planned';
  return [
    table.table,
    table.state,
    partitionsText(partitions),
    building ? `rows ${Math.max(rows.staged, rows.read)} of about ${rows.estimated}` : `rows ${rows.built} copied`,
    `waiting ${table.waitingChanges}`,
    `applied ${table.changesApplied}`,
    `watermark ${table.watermark ?? '-'}`,
    ...(table.quarantined > 0 ? [`QUARANTINED ${table.quarantined}`] : []),
    ...(table.defects > 0 ? [`DEFECTS ${table.defects}`] : []),
  ];
}

function partitionsText({ done, total, durable, repeated }: TableStatus['partitions']): string {
  const notes = [...(durable < done ? [`${durable} durable`] : []), ...(repeated > 0 ? [`${repeated} repeated`] : [])];
  return `partitions ${done}/${total}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`;
}

function columns(rows: readonly (readonly string[])[]): readonly string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  return rows.map((row) => `  ${row.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')}`.trimEnd());
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
