import type { PipelineRecord } from '@nanosync/core';
import { leaseNames, newPipeline, PipelineError, stateKeys, topicsOf } from '@nanosync/core';
import { createPrometheusMetrics } from '@nanosync/runtime';
import { FakeClock, openMemoryBus, openMemoryState } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { openEndpoints } from './endpoints.ts';
import { ServiceHealth } from './service-health.ts';

const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };

async function endpoints() {
  const clock = new FakeClock();
  const state = openMemoryState({ clock });
  let ids = 0;
  const { bus } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const metrics = createPrometheusMetrics();
  const health = new ServiceHealth(['planner', 'cdc-capture'], [], metrics);
  for (const name of health.names) health.set(name, null);
  const away = { state: false };
  const ctx = {
    ...{ clock, bus, topics: topicsOf() },
    state: new Proxy(state, {
      get: (target, name) => {
        if (away.state && (name === 'list' || name === 'get')) throw new PipelineError('unavailable', 'Redis at s3cret is away.');
        const value = Reflect.get(target, name) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    }),
  };
  const redact = (text: string) => text.replaceAll('s3cret', '***');
  const listener = await openEndpoints({ host: '127.0.0.1', port: 0 }, { ctx, metrics, health, redact });
  const ask = async (path: string) => {
    const response = await fetch(`${listener.url}${path}`);
    return { status: response.status, body: await response.text() };
  };
  const definition: PipelineRecord['definition'] = {
    ...{ name: 'p', replicationType: 'cdc_backfill', source: { connection: CONNECTION, tables: ['public.orders'] } },
    ...{ sink: { connection: CONNECTION }, snapshot: { concurrency: 1, targetRowsPerPartition: 1, maxRowsPerSecond: null } },
  };
  const pipeline = { ...newPipeline(definition, 0), phase: 'streaming', anchor: { id: 'a', l0: '0'.repeat(16), origin: {} } };
  await state.put(stateKeys.pipeline('p'), pipeline, 0);
  return { state, metrics, health, away, ask, [Symbol.asyncDispose]: () => listener[Symbol.asyncDispose]() };
}

test('a process is well while its services run', async () => {
  await using test = await endpoints();
  expect(await test.ask('/healthz')).toEqual({ status: 200, body: 'the services of this process run\n' });
  test.health.set('planner', 'it broke on s3cret.');
  expect(await test.ask('/healthz')).toEqual({ status: 503, body: 'planner does not run: it broke on ***.\n' });
  expect((await test.ask('/metrics')).body).toContain('nanosync_service_up{service="planner"} 0');
  test.health.set('planner', null);
  test.away.state = true; // No restart of this process brings it back.
  expect((await test.ask('/healthz')).status).toBe(200);
});

test('a process is ready once engines answer and the work of its services is done, by it or by another', async () => {
  await using test = await endpoints();
  expect(await test.ask('/readyz')).toEqual({
    status: 503,
    body: 'no planner works on pipeline p yet\nno cdc-capture works on pipeline p yet\n',
  });
  await test.state.lease(leaseNames.planner('p'), 'this', 10_000);
  await test.state.lease(leaseNames.capture('p'), 'another', 10_000);
  expect(await test.ask('/readyz')).toEqual({ status: 200, body: 'ready\n' });
  test.away.state = true;
  expect(await test.ask('/readyz')).toEqual({ status: 503, body: 'the state store: Redis at *** is away.\n' });
});

test('pipelines are told by the process that plans them, and metrics are answered while the state store is away', async () => {
  await using test = await endpoints();
  expect((await test.ask('/metrics')).body).not.toContain('pipeline="p"');
  test.metrics.lease(leaseNames.planner('p'), true);
  const { body } = await test.ask('/metrics');
  expect(body).toContain('nanosync_pipeline_phase{pipeline="p",phase="streaming"} 1');
  expect(body).toContain('nanosync_state_answers 1');
  test.away.state = true;
  const away = await test.ask('/metrics');
  expect([away.status, away.body]).toEqual([200, expect.stringContaining('nanosync_state_answers 0')]);
  expect(away.body).not.toContain('nanosync_pipeline_phase{');
});
