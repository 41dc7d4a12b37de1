import type { PartitionRecord } from '@nanosync/core';
import { afterCommand, leftGeneration, listRecords, PipelineError, positionOf, readRecord, stateKeys } from '@nanosync/core';
import { order } from '@nanosync/testkit';
import { describe, expect, test } from 'vitest';
import { MINUTE, QUERY, queryFixture } from './testing/query-fixture.ts';

describe('when a query runs', () => {
  test('at once at first, then so long after each start', async () => {
    const { settle, run, runs, write, clock, seen, pipeline, tasks } = await queryFixture();
    await settle();
    expect(await pipeline()).toMatchObject({ phase: 'scheduled', anchor: { origin: {} } });
    const startedMs = clock.nowMs();
    expect(await run()).toMatchObject({ table: QUERY.table, mode: 'merge', startedMs });
    expect(await tasks()).toBe(1);
    await clock.advance(2000);
    await write([order(1), order(2)]);
    await settle();
    expect(await runs()).toMatchObject({
      run: null,
      dueMs: startedMs + 15 * MINUTE,
      last: { startedMs, endedMs: startedMs + 2000, rows: 2, quarantined: 0, failure: null },
    });
    expect(seen()).toEqual([1, 2]);
    await clock.advance(15 * MINUTE - 2001);
    await settle();
    expect(await run()).toBeNull();
    await clock.advance(1);
    await settle();
    expect(await run()).toMatchObject({ startedMs: startedMs + 15 * MINUTE });
  });

  test('not while a run is under way: its times pass, and one run makes up for them', async () => {
    const { settle, run, runs, write, clock, described } = await queryFixture();
    await settle();
    const first = await run();
    await clock.advance(100 * MINUTE);
    await settle();
    expect(await run()).toEqual(first);
    await write([order(1)]);
    await settle();
    const second = await run();
    expect(second).toMatchObject({ startedMs: clock.nowMs() });
    await write([order(1)]);
    await settle();
    expect(await runs()).toMatchObject({ run: null, dueMs: clock.nowMs() + 15 * MINUTE });
    expect(described).toHaveLength(2);
  });

  test('at the times of a cron expression, the first one still to come, and by an edited schedule from then on', async () => {
    const { settle, run, runs, write, clock, edit } = await queryFixture({ schedule: { cron: '30 * * * *', timeZone: 'UTC' } });
    await settle();
    expect(await run()).toBeNull();
    await clock.advance(30 * MINUTE);
    await settle();
    expect(await run()).not.toBeNull();
    await write([order(1)]);
    await settle();
    await edit({ schedule: { cron: '0 6 * * *', timeZone: 'UTC' } });
    await settle();
    expect((await runs())?.dueMs).toBe(Date.UTC(2026, 0, 1, 6));
    await edit({ schedule: { everyMs: MINUTE } });
    await settle();
    expect((await runs())?.dueMs).toBe(Date.UTC(2026, 0, 1, 0, 31));
  });

  test('when it is asked for, and never while it is paused', async () => {
    const { settle, run, write, change, clock } = await queryFixture();
    await settle();
    await write([order(1)]);
    await change((record) => afterCommand(record, { kind: 'pause', part: 'pipeline' }));
    await change((record) => afterCommand(record, { kind: 'run' }));
    await settle();
    await clock.advance(60 * MINUTE);
    await settle();
    expect(await run()).toBeNull();
    await change((record) => afterCommand(record, { kind: 'resume', part: 'pipeline' }));
    await settle();
    expect(await run()).not.toBeNull();
    await change((record) => afterCommand(record, { kind: 'run' }));
    await settle();
    const before = await run();
    await write([order(2)]);
    await settle();
    expect(await run()).not.toBeNull();
    expect(await run()).not.toEqual(before);
  });
});

describe('a run', () => {
  test('is begun by one of two planners', async () => {
    const { planner, another, settle, hooks, run, state } = await queryFixture();
    await planner.step();
    const other = another();
    hooks.describe = async () => {
      hooks.describe = async () => {};
      await settle(other);
    };
    await expect(planner.step()).rejects.toThrow('changed pipeline p meanwhile');
    const begun = await run();
    await settle();
    expect(await run()).toEqual(begun);
    expect(await listRecords<PartitionRecord>(state, stateKeys.partitionsOf('p'))).toHaveLength(1);
  });

  test('goes on after a restart, with the statement that it began with', async () => {
    const { settle, another, edit, run, runs, write, state, seen, tasks, clock } = await queryFixture();
    await settle();
    const begun = await run();
    await edit({ statement: 'SELECT 2 AS id' });
    await clock.advance(MINUTE);
    await settle(another());
    expect(await run()).toEqual(begun);
    expect(await tasks()).toBe(1);
    const [partition] = await listRecords<PartitionRecord>(state, stateKeys.partitionsOf('p'));
    expect(partition?.value.range).toBe(QUERY.statement);
    await write([order(1)]);
    await settle(another());
    expect((await runs())?.last).toMatchObject({ rows: 1, failure: null });
    expect(seen()).toEqual([1]);
    expect(await listRecords(state, stateKeys.partitionsOf('p'))).toEqual([]);
  });

  test('fails with what the source has against the statement, and the next one is at its time', async () => {
    const { settle, run, runs, hooks, clock } = await queryFixture();
    hooks.describe = async () => {
      throw new PipelineError('prerequisite', 'no such table', { hint: 'Make it.' });
    };
    await settle();
    expect(await runs()).toMatchObject({ run: null, last: { failure: { reason: 'no such table', cure: 'Make it.' } } });
    hooks.describe = async () => {};
    await settle();
    expect(await run()).toBeNull();
    await clock.advance(15 * MINUTE);
    await settle();
    expect(await run()).not.toBeNull();
  });

  test('waits for a source that is away', async () => {
    const { settle, runs, hooks } = await queryFixture();
    hooks.describe = async () => {
      throw new PipelineError('unavailable', 'away');
    };
    await expect(settle()).rejects.toThrow('away');
    expect(await runs()).toMatchObject({ run: null, last: null });
  });

  test('has no result without the columns of its key', async () => {
    const { settle, runs } = await queryFixture({ key: ['day'] });
    await settle();
    expect((await runs())?.last?.failure?.reason).toContain('no column day');
  });

  test('that failed is given up at the sink before that is stored: nothing of it can be written later', async () => {
    const { settle, stage, report, sink, runs, run, table, clock, write, seen } = await queryFixture();
    await settle();
    await write([order(1)]);
    await settle();
    await clock.advance(15 * MINUTE);
    await settle();
    const generation = await stage([order(9)]);
    const schema = (await table())!.schema;
    await report({ epoch: (await run())?.epoch ?? '', failure: { reason: 'refused', cure: 'cure' } });
    await settle();
    expect((await runs())?.last).toMatchObject({ rows: 0, failure: { reason: 'refused' } });
    await expect(sink.merge({ generation, schema, partitions: 1, l0: '0' as never })).rejects.toThrow('given up');
    // Nor can its writer begin late with what a deleted pipeline left.
    const begun = { generation: leftGeneration(generation), anchor: 'a', schema, l0: positionOf(0n, 0n), topicId: '', start: [] };
    await expect(sink.adopt(begun)).rejects.toThrow('given up');
    expect(seen()).toEqual([1]);
  });

  test('that failed has failed for the same reason when its planner dies before that is stored', async () => {
    const { settle, another, put, runs, run, state } = await queryFixture();
    await settle();
    const key = stateKeys.partition('p', QUERY.table, (await run())?.epoch ?? '', 0);
    const partition = (await readRecord<PartitionRecord>(state, key))?.value;
    await put(key, { ...partition, voided: 'no such column' });
    const { putAll } = state;
    state.putAll = async () => {
      state.putAll = putAll;
      throw new Error('dies');
    };
    await expect(settle()).rejects.toThrow('dies');
    expect(await state.get(key)).toBeUndefined();
    await settle(another());
    expect(await runs()).toMatchObject({ run: null, last: { failure: { reason: 'no such column' } } });
  });

  test('that was written after all went well', async () => {
    const { settle, write, report, runs, run } = await queryFixture();
    await settle();
    await write([order(1)], false);
    await report({ epoch: (await run())?.epoch ?? '', failure: { reason: 'thought lost', cure: 'cure' } });
    await settle();
    expect((await runs())?.last).toMatchObject({ rows: 1, failure: null });
  });

  test('is over when the state store has lost what it knew of it', async () => {
    const { settle, runs, run, state, clock } = await queryFixture();
    await settle();
    await state.remove(stateKeys.table('p', QUERY.table));
    await settle();
    expect(await runs()).toMatchObject({ run: null, last: { failure: { reason: 'The state store lost what it knew of the run.' } } });
    await clock.advance(15 * MINUTE);
    await settle();
    expect(await run()).not.toBeNull();
  });
});

describe('how a result is written', () => {
  test('in place of all rows without a key, and by key with one; after an edit of the key in place of all once', async () => {
    const { settle, run, write, clock, edit, seen } = await queryFixture({ key: [] });
    const next = async (...ids: number[]) => {
      await settle();
      const mode = (await run())?.mode;
      await write(ids.map((id) => order(id)));
      await settle();
      await clock.advance(15 * MINUTE);
      return mode;
    };
    expect(await next(1, 2)).toBe('replace');
    await edit({ key: ['id'] });
    expect(await next(3)).toBe('replace');
    expect(await next(4)).toBe('merge');
    expect(seen()).toEqual([3, 4]);
  });

  test('in place of all rows when a resnapshot is asked for, which ends the run under way', async () => {
    const { settle, run, runs, write, change, seen, pipeline, clock } = await queryFixture();
    await settle();
    await write([order(1)]);
    await settle();
    await clock.advance(15 * MINUTE);
    await settle();
    const before = await pipeline();
    await change((record) => afterCommand(record, { kind: 'resnapshot', table: null }));
    await settle();
    expect((await runs())?.last?.failure?.reason).toBe('It was ended by a resnapshot.');
    expect(await run()).toMatchObject({ mode: 'replace' });
    expect((await pipeline()).anchor?.id).not.toBe(before.anchor?.id);
    await write([order(2)]);
    await settle();
    expect(seen()).toEqual([2]);
  });
});
