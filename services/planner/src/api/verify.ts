import type { AnswerOf, ApiParts, RequestOf, VerifyEvent, VerifyLimits } from '@nanosync/api';
import { ApiFault, errorBody, lineOfEvent, verifyPipeline } from '@nanosync/api';
import { describeError, PipelineError } from '@nanosync/core';
import { requirePipeline } from './commands.ts';

/** The servers that compare something right now: each does one comparison at a time, as it takes memory and reads both sides. */
const comparing = new WeakSet<ApiParts['ctx']>();

/**
 * Compares a pipeline's source and sink, a line for each thing that is found. What keeps all of it from being compared is thrown before the
 * first line. Keys stand in the answer, values where they are asked for, neither in any log.
 */
export async function verifyHandler(
  parts: ApiParts,
  name: string,
  query: RequestOf<'verify'>['query'],
  signal: AbortSignal,
): Promise<AsyncIterable<string>> {
  const { ctx } = parts;
  const limits = limitsOf(query);
  await requirePipeline(ctx.state, name);
  if (comparing.has(ctx))
    throw new ApiFault('too-many-requests', 'The server compares something already.', 'Ask again when that has ended.');
  comparing.add(ctx);
  const left = new AbortController();
  const events = verifyPipeline(ctx, { pipeline: name, table: query.table, limits }, AbortSignal.any([signal, left.signal]));
  const end = async () => {
    left.abort();
    await events.return(undefined).catch(() => undefined);
    comparing.delete(ctx);
  };
  try {
    const first = await events.next();
    ctx.log.info('comparison began', { pipeline: name });
    return lines(parts, { name, events, first, values: query.values === 'true', signal, end });
  } catch (error) {
    await end();
    throw error;
  }
}

interface Comparison {
  readonly name: string;
  readonly events: AsyncGenerator<VerifyEvent>;
  readonly first: IteratorResult<VerifyEvent>;
  readonly values: boolean;
  readonly signal: AbortSignal;
  readonly end: () => Promise<void>;
}

/** The lines, as something that ends the comparison also when it is left before its first line is read. */
function lines(parts: ApiParts, comparison: Comparison): AsyncIterable<string> {
  const { signal, end } = comparison;
  const over = () => void end();
  if (signal.aborted) over();
  signal.addEventListener('abort', over, { once: true });
  return (async function* () {
    try {
      yield* linesOf(parts, comparison);
    } finally {
      signal.removeEventListener('abort', over);
      await end();
    }
  })();
}

async function* linesOf({ ctx, redact }: ApiParts, { name, events, first, values, signal }: Comparison): AsyncGenerator<string> {
  try {
    for (let next = first; next.done !== true; next = await events.next()) {
      if (next.value.kind === 'end') ctx.log.info('comparison ended', { pipeline: name, outcome: next.value.outcome });
      yield JSON.stringify(lineOf(next.value, values));
    }
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof PipelineError)) ctx.log.error('comparison failed', { pipeline: name, err: describeError(error) });
    const { code, message, cure } = errorBody(error);
    yield JSON.stringify({ kind: 'error', code, message: redact(message), cure: cure === null ? null : redact(cure) });
  }
}

function lineOf(event: VerifyEvent, values: boolean): AnswerOf<'verify'> {
  if (event.kind !== 'difference') return lineOfEvent(event);
  const { kind, table, difference } = event;
  const { kind: how, key, columns, source, sink } = difference;
  return { kind, table, how, key: { ...key }, columns: [...columns], ...(values ? { source, sink } : {}) };
}

function limitsOf({ limit, rate, asIs }: RequestOf<'verify'>['query']): Partial<VerifyLimits> {
  return {
    ...(limit === undefined ? {} : { listed: wholeNumber('--limit', limit) }),
    ...(rate === undefined ? {} : { rowsPerSecond: wholeNumber('--rate', rate) }),
    asIs: asIs === 'true',
  };
}

function wholeNumber(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text))
    throw new PipelineError('config', `${option} takes a whole number, not ${JSON.stringify(text.slice(0, 40))}.`);
  return Number(text);
}
