import type { Problem, TableRecord } from '@nanosync/core';
import { newPipeline, PipelineError, positionOf, stateKeys } from '@nanosync/core';
import { afterEach, expect, it } from 'vitest';
import type { ApiHarness } from './testing/api-harness.ts';
import { DEFINITION, startApi } from './testing/api-harness.ts';

let api: ApiHarness;
afterEach(async () => {
  await api[Symbol.asyncDispose]();
});

const levels = (answer: { readonly checks: readonly { readonly level: string; readonly place: string }[] }) =>
  answer.checks.map(({ level, place }) => `${level} ${place}`);

it('says of everything that is well what was looked at', async () => {
  api = await startApi();
  await api.store(DEFINITION);
  const answer = await api.client.call('doctor', { body: {} });
  expect(answer.healthy).toBe(true);
  expect(levels(answer)).toEqual([
    'ok state store',
    'ok bus',
    'ok pipeline shop',
    'ok pipeline shop, source c',
    'ok pipeline shop, sink w',
  ]);
  expect(answer.checks.every(({ what, cure }) => what !== '' && cure === null)).toBe(true);
});

it('goes on behind a problem, and gives each its cure; a warning alone is healthy', async () => {
  const problems: Problem[] = [
    { what: 'User sync has no REPLICATION right.', cure: 'Run: ALTER ROLE "sync" REPLICATION;' },
    { what: 'The disk is slow.', cure: 'Buy another.', mild: true },
  ];
  api = await startApi({
    source: { check: async () => problems },
    checkSink: () => Promise.reject(new PipelineError('unavailable', 'BigQuery does not answer.', { hint: 'Wait.' })),
  });
  await api.store(DEFINITION);
  const answer = await api.client.call('doctor', { body: { pipeline: 'shop' } });
  expect(answer.healthy).toBe(false);
  expect(answer.checks.slice(3)).toEqual([
    { level: 'problem', place: 'pipeline shop, source c', ...problems[0] },
    { level: 'warning', place: 'pipeline shop, source c', what: 'The disk is slow.', cure: 'Buy another.' },
    { level: 'problem', place: 'pipeline shop, sink w', what: 'BigQuery does not answer.', cure: 'Wait.' },
  ]);
  problems.shift();
  await using mild = await startApi({ source: { check: async () => problems } });
  await mild.store(DEFINITION);
  expect(await mild.client.call('doctor', { body: {} })).toMatchObject({ healthy: true });
});

it('looks at definitions as if they were applied, with those that are stored', async () => {
  const asked: unknown[] = [];
  const check = async (name: string, _: readonly string[], wants?: { readonly beside?: readonly string[] | undefined }) => {
    asked.push([name, wants?.beside]);
    return [];
  };
  api = await startApi({ source: { check } });
  await api.store(DEFINITION);
  const definitions = [{ ...DEFINITION, name: 'second' }];
  const answer = await api.client.call('doctor', { body: { definitions } });
  expect(levels(answer)).toContain('ok pipeline second, source c');
  expect(asked).toEqual([
    ['shop', ['second']],
    ['second', ['shop']],
  ]);
  await expect(api.client.call('doctor', { body: { pipeline: 'shp' } })).rejects.toThrow(/no pipeline "shp"/);
});

it('looks at what a pipeline that runs follows, and at the services of a cluster', async () => {
  const verify = () => Promise.reject(new PipelineError('gap', 'The slot is gone.', { hint: 'Run: nanosync pipeline resnapshot shop' }));
  const drift = async () => [{ table: 'public.orders' as TableRecord['table'], reason: 'The columns of public.orders changed.' }];
  api = await startApi({ clustered: true, source: { verify: async () => {}, drift } });
  const record = { ...newPipeline(DEFINITION, 0), phase: 'streaming' as const, anchor: { id: 'a', l0: positionOf(1n, 0n), origin: {} } };
  await api.ctx.state.put(stateKeys.pipeline('shop'), record, 0);
  const answer = await api.client.call('doctor', { body: {} });
  expect(answer.checks.filter(({ level }) => level === 'problem').map(({ what, cure }) => `${what} ${cure}`)).toEqual([
    expect.stringMatching(/^No planner works on it\. Run: nanosync service planner/),
    expect.stringMatching(/^No snapshot-worker|^No cdc-capture/),
    expect.stringMatching(/^No /),
    'The columns of public.orders changed. Run: nanosync pipeline resnapshot shop',
  ]);
  // The slot moves on while it is looked at, and never beyond what is stored.
  const stored = [positionOf(5n, 0n), positionOf(9n, 0n), positionOf(9n, 0n)];
  await using moving = await startApi({
    source: {
      drift: async () => [],
      verify: async (_name, _anchor, published) => {
        const entry = await moving.ctx.state.get(stateKeys.capture('shop'));
        await moving.ctx.state.put(stateKeys.capture('shop'), { v: 2, anchor: 'a', published: stored.shift() }, entry?.version ?? 0);
        if (published !== positionOf(9n, 0n)) throw new PipelineError('gap', 'The slot was moved.');
      },
    },
  });
  await moving.ctx.state.put(stateKeys.pipeline('shop'), record, 0);
  expect((await moving.client.call('doctor', { body: {} })).healthy).toBe(true);
  await using lost = await startApi({ source: { verify } });
  await lost.ctx.state.put(stateKeys.pipeline('shop'), record, 0);
  expect((await lost.client.call('doctor', { body: {} })).checks).toContainEqual(expect.objectContaining({ what: 'The slot is gone.' }));
});
