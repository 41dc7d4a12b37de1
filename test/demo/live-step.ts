import type { Position } from '@nanosync/core';
import { comparePositions, positionOf } from '@nanosync/core';
import type { DemoContext } from './demo-context.ts';
import { watch } from './demo-context.ts';
import { PIPELINE } from './demo-options.ts';
import type { Progress } from './progress.ts';
import { lsnNumber, lsnOf } from './progress.ts';
import { bytes, count } from './screen.ts';

/** Shows what waited behind the gate, and waits until every table has reached its L1. */
export async function watchHandoff(context: DemoContext): Promise<Progress> {
  const { screen } = context;
  const progress = await watch(context, 'every table to reach its consistency position', ({ tables }) =>
    tables.every(({ phase, l1 }) => phase === 'following' && l1 !== null),
  );
  const waited = progress.tables.reduce((sum, { sink }) => sum + (sink?.waitedAtHandoff ?? 0), 0);
  screen.detail(`${count(waited)} changes waited on the bus for their tables to be built; each table is consistent from its L1 on:`);
  for (const { table, sink, l1 } of [...progress.tables].sort(
    (a, b) => context.tables.indexOf(a.table) - context.tables.indexOf(b.table),
  )) {
    const at = l1 === null ? '' : `, L1 = ${lsnOf(l1)}`;
    screen.detail(
      `  ${table.padEnd(19)}${count(sink?.waitedAtHandoff ?? 0).padStart(8)} on top of ${count(sink?.rowsBuilt ?? 0)} rows${at}`,
    );
  }
  return progress;
}

/** Lets the writers go on for a while and shows the lag. */
export async function watchLive(context: DemoContext): Promise<void> {
  const { screen, options } = context;
  const until = performance.now() + options.seconds * 1000;
  let shown = -1;
  await watch(
    context,
    'the changes',
    async (progress) => {
      const second = Math.ceil((until - performance.now()) / 1000);
      if (second !== shown && second > 0) {
        shown = second;
        screen.bars([{ text: await lagLine(context, progress), milestone: String(second) }]);
      }
      return second <= 0;
    },
    100,
  );
  screen.endBars();
}

async function lagLine(context: DemoContext, progress: Progress): Promise<string> {
  const end = lsnNumber(await currentLsn(context));
  const published = progress.capture === null ? end : lsnNumber(lsnOf(progress.capture.published));
  const captured = progress.tables.reduce((sum, { changes }) => sum + changes, 0);
  const applied = progress.tables.reduce((sum, { sink }) => sum + (sink?.changesApplied ?? 0), 0);
  const behind = bytes(Number(end > published ? end - published : 0n));
  return `live: ${behind} of log to capture, ${count(Math.max(0, captured - applied))} changes to apply, ${count(applied)} applied`;
}

/** Stops the writers and waits until the sink has everything that they committed; returns how long that took. */
export async function drain(context: DemoContext): Promise<number> {
  await context.writers.stop();
  const { transactions, changes } = context.writers.written;
  context.screen.detail(`the writers committed ${count(changes)} changes in ${count(transactions)} transactions`);
  const began = performance.now();
  // Everything the writers committed lies below; the message makes capture publish a watermark at or above it.
  const target = positionOf(lsnNumber(await currentLsn(context)), 0n);
  await context.admin.query("SELECT pg_logical_emit_message(true, 'nanosync', $1)", [
    JSON.stringify({ kind: 'watermark', pipeline: PIPELINE }),
  ]);
  await watch(
    context,
    'the sink to have everything',
    ({ tables }) => tables.every(({ sink }) => reached(sink?.watermark ?? null, target)),
    20,
  );
  return (performance.now() - began) / 1000;
}

function reached(watermark: Position | null, target: Position): boolean {
  return watermark !== null && comparePositions(watermark, target) >= 0;
}

async function currentLsn(context: DemoContext): Promise<string> {
  const { rows } = await context.admin.query<{ lsn: string }>('SELECT pg_current_wal_lsn() AS lsn');
  return rows[0]?.lsn ?? '0/0';
}
