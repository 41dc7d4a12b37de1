import { instantText, storedPipelines } from '@nanosync/api';
import type { PipelineRecord, TableRecord } from '@nanosync/core';
import { listRecords, PipelineError, readRecord, stateKeys } from '@nanosync/core';
import { listenForShutdown } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import { EXIT_OK } from '../context.ts';
import { answering, existingPlace, topicsAt } from '../place.ts';
import { entryJson } from '../tap/entry.ts';
import { entryText } from '../tap/entry-text.ts';
import { readTap } from '../tap/read.ts';
import type { TapOptions } from '../tap/selection.ts';
import { selectionOf } from '../tap/selection.ts';
import type { CommonOptions } from './common.ts';
import { commandLog } from './common.ts';
import { unknownPipeline } from './resnapshot.ts';

/** Lines that are printed unless told otherwise; following has no such end. */
const DEFAULT_LIMIT = 1000;

/** Prints the decoded messages of a pipeline's topics. Writes nothing anywhere, so it may run beside a server. */
export async function tap(context: CliContext, name: string, options: CommonOptions & TapOptions): Promise<number> {
  const limit = limitOf(options);
  const place = existingPlace(context, options);
  using shutdown = listenForShutdown(context.exitNow);
  await using state = await answering(context.adapters.openState(place));
  const pipeline = (await readRecord<PipelineRecord>(state, stateKeys.pipeline(name)))?.value;
  if (pipeline === undefined) throw unknownPipeline(name, await storedPipelines(state));
  const tables = (await listRecords<TableRecord>(state, stateKeys.tables(name))).map(({ value }) => value);
  const selection = selectionOf(pipeline, tables, topicsAt(place), { options, nowMs: context.clock.nowMs() });
  const { bus, registry } = await answering(context.adapters.openBusForReading(place, commandLog(context, options)));
  await using _bus = bus;
  const signal = AbortSignal.any([shutdown.signal, context.outputGone, ...(context.stop === undefined ? [] : [context.stop])]);
  const note = (sentence: string) => context.err(`note: ${sentence}`);
  let lines = 0;
  for await (const entry of readTap({ bus, registry, clock: context.clock, signal, note }, selection)) {
    if (lines === limit) {
      note(
        `stopped after ${limit} ${limit === 1 ? 'line' : 'lines'}; --limit 0 shows all, --from ${instantText(entry.timestampMs)} goes on here.`,
      );
      break;
    }
    lines++;
    context.out(options.json ? entryJson(entry) : entryText(entry));
    if (signal.aborted) break;
  }
  if (lines === 0 && !selection.follow && !signal.aborted) note('no message on the bus is as asked for.');
  return EXIT_OK;
}

function limitOf({ limit, follow }: TapOptions): number {
  if (limit === undefined) return follow ? Number.POSITIVE_INFINITY : DEFAULT_LIMIT;
  if (!/^\d{1,12}$/.test(limit))
    throw new PipelineError('config', `--limit takes a whole number, not ${JSON.stringify(limit.slice(0, 40))}.`);
  return Number(limit) === 0 ? Number.POSITIVE_INFINITY : Number(limit);
}
