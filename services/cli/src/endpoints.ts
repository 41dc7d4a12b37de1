import type { ServiceContext } from '@nanosync/core';
import { describeError, leaseNames } from '@nanosync/core';
import type { Answer, ListenAddress, Listener, PipelineStatus, PrometheusMetrics } from '@nanosync/runtime';
import { absentServices, listen, pipelineStatuses, plain, setPipelineMetrics } from '@nanosync/runtime';
import type { ServiceHealth } from './service-health.ts';

/** How long an engine may take to answer one request. */
const PATIENCE_MS = 3000;

/** What the endpoints look at. */
export interface EndpointParts {
  readonly ctx: Pick<ServiceContext, 'state' | 'bus' | 'topics' | 'clock'>;
  readonly metrics: PrometheusMetrics;
  readonly health: ServiceHealth;
  /** Takes secrets out of what is answered. */
  readonly redact: (text: string) => string;
}

/** Serves `/metrics`, `/healthz` and `/readyz`. */
export function openEndpoints(address: ListenAddress, parts: EndpointParts): Promise<Listener> {
  const redacted = async (answer: Promise<Answer>) => {
    const { body, ...rest } = await answer;
    return { ...rest, body: parts.redact(body) };
  };
  return listen(address, {
    '/metrics': () => redacted(metricsText(parts)),
    '/healthz': () => redacted(healthz(parts)),
    '/readyz': () => redacted(readyz(parts)),
  });
}

/** The process is well: it answers, and none of its services waits to be started again. What is away elsewhere no restart would bring back. */
async function healthz({ health }: EndpointParts): Promise<Answer> {
  return health.troubles.length === 0 ? plain(200, 'the services of this process run') : plain(503, health.troubles.join('\n'));
}

/**
 * The process does its part: state store and bus answer, its services run, and what services like them do for the pipelines is being done,
 * here or in another process for which this one stands by.
 */
async function readyz(parts: EndpointParts): Promise<Answer> {
  const { ctx, health } = parts;
  const problems = [...health.troubles];
  const statuses = await within(ctx, 'the state store', () => pipelineStatuses(ctx.state, ctx.clock.nowMs()), problems);
  await within(ctx, 'the bus', () => ctx.bus.topic(ctx.topics.tasks), problems);
  if (problems.length === 0)
    for (const status of statuses ?? []) {
      const absent = await within(ctx, 'the state store', () => absentServices(ctx.state, status), problems);
      for (const service of absent ?? [])
        if (health.names.includes(service)) problems.push(`no ${service} works on pipeline ${status.name} yet`);
    }
  return problems.length === 0 ? plain(200, 'ready') : plain(503, problems.join('\n'));
}

/** Pipelines are told by the process that plans them, so that each is told once. */
async function metricsText(parts: EndpointParts): Promise<Answer> {
  const { ctx, metrics } = parts;
  const problems: string[] = [];
  const own = ({ name }: PipelineStatus) => metrics.holds(leaseNames.planner(name));
  const statuses = await within(ctx, 'the state store', () => pipelineStatuses(ctx.state, ctx.clock.nowMs()), problems);
  setPipelineMetrics(metrics, (statuses ?? []).filter(own));
  metrics.set('nanosync_state_answers', {}, statuses === undefined ? 0 : 1);
  return { status: 200, type: metrics.contentType, body: await metrics.text() };
}

/** The answer of an engine; what it does not answer in time is a problem and no error. */
async function within<T>({ clock }: EndpointParts['ctx'], what: string, ask: () => Promise<T>, problems: string[]): Promise<T | undefined> {
  const over = new AbortController();
  const late = clock.sleep(PATIENCE_MS, over.signal).then(() => 'late' as const);
  try {
    const answer = await Promise.race([ask().then((value) => ({ value })), late]);
    if (answer !== 'late') return answer.value;
    problems.push(`${what} does not answer`);
  } catch (error) {
    problems.push(`${what}: ${describeError(error)}`);
  } finally {
    over.abort();
  }
  return undefined;
}
