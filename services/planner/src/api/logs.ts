import type { ApiParts, LogsLine, RequestOf } from '@nanosync/api';
import { errorBody, instantText } from '@nanosync/api';
import type { Message, PartitionReader } from '@nanosync/core';
import { describeError, isKind, PipelineError } from '@nanosync/core';
import type { LogEntry } from '@nanosync/runtime';
import { isAtLeast } from '@nanosync/runtime';
import { limitOf } from './tap.ts';

/** Lines that are shown unless told otherwise. */
const DEFAULT_LIMIT = 100;
const READ_BYTES = 1_048_576;
/** How long a look for new lines waits, and for a topic that no service has made yet. */
const WAIT_MS = 1000;

type Query = RequestOf<'logs'>['query'];
type Shown = Extract<LogsLine, { readonly kind: 'line' }>;

/** The newest log lines of all services, oldest first, and then those that come where that is asked for. */
export async function logsHandler({ ctx, redact }: ApiParts, query: Query, signal: AbortSignal): Promise<AsyncIterable<string>> {
  const limit = limitOf(query.limit, DEFAULT_LIMIT);
  const text = (line: LogsLine) => JSON.stringify(line, (_, value: unknown) => (typeof value === 'string' ? redact(value) : value));
  return (async function* () {
    try {
      for await (const line of linesOf(ctx, { query, limit, signal })) yield text(line);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof PipelineError)) ctx.log.error('logs failed', { err: describeError(error) });
      yield text({ kind: 'error', ...errorBody(error) });
    }
  })();
}

interface Asked {
  readonly query: Query;
  readonly limit: number;
  readonly signal: AbortSignal;
}

async function* linesOf(ctx: ApiParts['ctx'], { query, limit, signal }: Asked): AsyncGenerator<LogsLine> {
  const follows = query.follow === 'true';
  const newest: Shown[] = [];
  const end = await endOf(ctx);
  let next = 0;
  for await (const message of messagesOf(ctx, { from: 0, signal, until: end })) {
    next = message.offset + 1;
    const line = shownLine(message, query);
    if (line === undefined) continue;
    newest.push(line);
    if (newest.length > limit) newest.shift();
  }
  yield* newest;
  if (newest.length === 0 && !follows) yield { kind: 'note', says: 'no line that is kept is as asked for.' };
  if (!follows) return;
  for await (const message of messagesOf(ctx, { from: Math.max(next, end), signal, until: undefined })) {
    const line = shownLine(message, query);
    if (line !== undefined) yield line;
  }
}

async function endOf({ bus, topics }: ApiParts['ctx']): Promise<number> {
  return (await bus.topic(topics.logs))?.partitions[0]?.end ?? 0;
}

/** The messages from an offset to an end, or as they come. Those that are removed before they are read are passed over. */
async function* messagesOf(
  ctx: ApiParts['ctx'],
  { from, until, signal }: { readonly from: number; readonly until: number | undefined; readonly signal: AbortSignal },
): AsyncGenerator<Message> {
  const { bus, clock } = ctx;
  const topic = ctx.topics.logs;
  let next = from;
  while (!signal.aborted && (until === undefined || next < until)) {
    const range = (await bus.topic(topic))?.partitions[0];
    if (range === undefined) {
      await clock.sleep(WAIT_MS, signal);
      continue;
    }
    // A topic that was made again begins again, too.
    next = next > range.end ? range.start : Math.max(next, range.start);
    if (until !== undefined && next >= until) return;
    try {
      await using reader = await bus.reader(topic, 0, next);
      for await (const message of readFrom(reader, until, signal)) {
        yield message;
        next = message.offset + 1;
      }
      if (until !== undefined) return;
    } catch (error) {
      if (!isKind(error, 'gap')) throw error;
    }
  }
}

/** Until the end, or of one that has none, until the signal aborts. What a bus does not give within a moment it does not have. */
async function* readFrom(reader: PartitionReader, until: number | undefined, signal: AbortSignal): AsyncGenerator<Message> {
  while (!signal.aborted) {
    const messages = await reader.read({ maxBytes: READ_BYTES, waitMs: WAIT_MS, signal });
    if (messages.length === 0 && until !== undefined) return;
    for (const message of messages) {
      if (until !== undefined && message.offset >= until) return;
      yield message;
      if (until !== undefined && message.offset === until - 1) return;
    }
  }
}

/** The line as it is shown, if it is asked for; what is no line of ours is none. */
function shownLine({ value, timestampMs }: Message, { service, pipeline, level }: Query): Shown | undefined {
  let entry: LogEntry & { readonly atMs?: number };
  try {
    entry = JSON.parse(Buffer.from(value).toString('utf8')) as typeof entry;
  } catch {
    return undefined;
  }
  const { msg, fields, bound, atMs } = entry;
  if (entry.level === 'debug' || fields === undefined || bound === undefined) return undefined;
  if (level !== undefined && !isAtLeast(entry.level, level)) return undefined;
  const carries = { ...bound, ...fields };
  if (service !== undefined && carries.service !== service) return undefined;
  if (pipeline !== undefined && carries.pipeline !== pipeline && carries.name !== pipeline) return undefined;
  const line = { time: instantText(Number.isSafeInteger(atMs) ? (atMs as number) : timestampMs), level: entry.level, msg, fields, bound };
  return { kind: 'line', ...line } as Shown;
}
