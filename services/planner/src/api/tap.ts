import type { ApiParts, RequestOf } from '@nanosync/api';
import { errorBody, instantText } from '@nanosync/api';
import type { TableRecord } from '@nanosync/core';
import { describeError, listRecords, PipelineError, stateKeys } from '@nanosync/core';

import { entryJson } from '../tap/entry.ts';
import { readTap } from '../tap/read.ts';
import type { TapSelection } from '../tap/selection.ts';
import { selectionOf } from '../tap/selection.ts';
import { requirePipeline } from './commands.ts';

/** Entries that are shown unless told otherwise; following has no such end. */
const DEFAULT_LIMIT = 1000;

/** A pipeline's decoded messages, a line each, between notes for who looks at them. Writes nothing anywhere. */
export async function tapHandler(
  { ctx, redact }: ApiParts,
  name: string,
  { topic, follow, ...query }: RequestOf<'tap'>['query'],
  signal: AbortSignal,
): Promise<AsyncIterable<string>> {
  const options = { ...query, follow: follow === 'true', ...(topic === undefined ? {} : { topic: [topic] }) };
  const limit = limitOf(query.limit, options.follow ? Number.POSITIVE_INFINITY : DEFAULT_LIMIT);
  const pipeline = await requirePipeline(ctx.state, name);
  const tables = (await listRecords<TableRecord>(ctx.state, stateKeys.tables(name))).map(({ value }) => value);
  const selection = selectionOf(pipeline, tables, ctx.topics, { options, nowMs: ctx.clock.nowMs() });
  const failed = (error: unknown) => {
    if (!(error instanceof PipelineError)) ctx.log.error('tap failed', { pipeline: name, err: describeError(error) });
    const { code, message, cure } = errorBody(error);
    return JSON.stringify({ kind: 'error', code, message: redact(message), cure: cure === null ? null : redact(cure) });
  };
  return lines({ ctx, signal }, selection, { limit, failed });
}

async function* lines(
  { ctx, signal }: { readonly ctx: ApiParts['ctx']; readonly signal: AbortSignal },
  selection: TapSelection,
  { limit, failed }: { readonly limit: number; readonly failed: (error: unknown) => string },
): AsyncGenerator<string> {
  const notes: string[] = [];
  const note = (says: string) => notes.push(JSON.stringify({ kind: 'note', says }));
  const { bus, registry, clock } = ctx;
  let shown = 0;
  try {
    for await (const entry of readTap({ bus, registry, clock, signal, note }, selection)) {
      yield* notes.splice(0);
      if (shown === limit) {
        const all = `--limit 0 shows all, --from ${instantText(entry.timestampMs)} goes on here.`;
        note(`stopped after ${limit} ${limit === 1 ? 'line' : 'lines'}; ${all}`);
        break;
      }
      shown++;
      yield entryJson(entry);
      if (signal.aborted) return;
    }
    if (shown === 0 && !selection.follow) note('no message on the bus is as asked for.');
    yield* notes.splice(0);
  } catch (error) {
    yield failed(error);
  }
}

/** What `--limit` says, where 0 is no end. */
export function limitOf(limit: string | undefined, absent: number): number {
  if (limit === undefined) return absent;
  if (!/^\d{1,12}$/.test(limit))
    throw new PipelineError('config', `--limit takes a whole number, not ${JSON.stringify(limit.slice(0, 40))}.`);
  return Number(limit) === 0 ? Number.POSITIVE_INFINITY : Number(limit);
}
