import type { OutMessage, SourceEvent } from '@nanosync/core';
import { PipelineError, topicsOf } from '@nanosync/core';
import { at, ORDERS } from '@nanosync/testkit';
import { describe, expect, it } from 'vitest';
import type { OnSend } from './testing/session-fixture.ts';
import { captureFixture, ITEMS, L0, transaction } from './testing/session-fixture.ts';

const MARKER = { pipeline: 'p', table: ORDERS.table, epoch: 'e1' } as const;

function sizeOf(messages: readonly OutMessage[]): number {
  return messages.reduce((sum, { value }) => sum + value.length, 0);
}

describe('a capture session', () => {
  it('publishes, then stores, then acknowledges exactly the commit', async () => {
    const { begin, deliver, happened, until, acknowledged, record, published } = await captureFixture();
    const session = begin();
    await until(() => happened.length >= 3);
    // Its number first, then the table's generation event.
    expect(happened.splice(0)).toEqual(['stored', 'sent', 'stored']);
    deliver(transaction(11, [1, 2]));
    await until(() => acknowledged().length > 0);
    expect(happened.slice(0, 3)).toEqual(['sent', 'stored', `acknowledged ${at(11, 0)}`]);
    expect(await record()).toMatchObject({ published: at(11, 2), acknowledged: at(11, 0) });
    expect((await published()).map(({ kind, position }) => [kind, position])).toEqual([
      ['generation', L0],
      ['change', at(11, 1)],
      ['change', at(11, 2)],
    ]);
    await session.end();
  });

  it.each([
    ['fails', false],
    ['gets no answer although the bus has it', true],
  ])('ends with a send that %s; the next one, under a higher number, leaves no gap', async (_, arrives) => {
    let sends = 0;
    const third: OnSend = async (send) => {
      if (++sends !== 3) return send();
      if (arrives) await send();
      throw new PipelineError('unavailable', 'The broker went away.');
    };
    const { begin, deliver, until, acknowledged, published } = await captureFixture(third);
    const first = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    deliver(transaction(12, [2]));
    await until(() => first.outcome() !== undefined || acknowledged().length > 1);
    expect(first.outcome()).toMatchObject({ error: { kind: 'unavailable' } });
    expect(acknowledged()).toEqual([at(11, 0)]);
    const before = await published();
    expect(before.filter(({ kind }) => kind === 'change').map(({ position }) => position)).toEqual(arrives ? [at(11), at(12)] : [at(11)]);
    const second = begin();
    deliver(transaction(13, [3]));
    await until(() => acknowledged().at(-1) === at(13, 0));
    await second.end();
    const again = (await published()).slice(before.length);
    expect(again.filter(({ kind }) => kind === 'change').map(({ position }) => position)).toEqual([at(12), at(13)]);
    for (const { session } of again) expect(session).toBeGreaterThan(before.at(-1)?.session ?? 0);
  });

  it('has a number above that of every message that is on the bus, whatever the store remembers', async () => {
    const { begin, deliver, until, acknowledged, remember, published } = await captureFixture();
    for (const commit of [11, 12]) {
      const session = begin();
      deliver(transaction(commit, [commit]));
      const told = acknowledged().length;
      await until(() => acknowledged().length > told);
      await session.end();
    }
    const highest = (await published()).at(-1)?.session ?? 0;
    await remember({ session: 0 });
    const session = begin();
    deliver(transaction(13, [3]));
    await until(() => acknowledged().length > 2);
    await session.end();
    expect((await published()).at(-1)).toMatchObject({ position: at(13), session: highest + 1 });
  });

  it('ends when another session has stored behind it, and acknowledges nothing more', async () => {
    const { begin, deliver, until, acknowledged, remember, record } = await captureFixture();
    const first = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    await remember({ session: 9 });
    deliver(transaction(12, [2]));
    await until(() => first.outcome() !== undefined || acknowledged().length > 1);
    expect(first.outcome()).toMatchObject({ error: { kind: 'conflict' } });
    expect(acknowledged()).toEqual([at(11, 0)]);
    expect(await record()).toMatchObject({ session: 9, acknowledged: at(11, 0) });
  });

  it('asks the source before anything else whether its log is whole from what is published on', async () => {
    const { begin, deliver, until, acknowledged, verified, breakLog, opened } = await captureFixture();
    const first = begin();
    deliver(transaction(11, [1, 2]));
    await until(() => acknowledged().length > 0);
    await first.end();
    breakLog();
    const second = begin();
    deliver(transaction(12, [3]));
    await until(() => second.outcome() !== undefined || acknowledged().length > 1);
    expect(second.outcome()).toMatchObject({ error: { kind: 'gap' } });
    expect(verified).toEqual([`a1 ${L0}`, `a1 ${at(11, 2)}`]);
    expect(opened).toHaveLength(1);
  });

  it('lets the source forget nothing that a store which loses its newest writes does not know any more, and ends', async () => {
    const { begin, deliver, until, acknowledged, opened, remember } = await captureFixture(undefined, { mayLoseMs: 1000 });
    const session = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    const { confirm } = opened[0] ?? {};
    expect(confirm?.afterMs).toBe(1000);
    expect(await confirm?.mayTell(at(11, 0))).toBe(true);
    await remember({ acknowledged: L0 });
    expect(await confirm?.mayTell(at(11, 0))).toBe(false);
    deliver(transaction(12, [2]));
    await until(() => session.outcome() !== undefined);
    expect(session.outcome()).toMatchObject({ error: { kind: 'conflict' } });
    expect(acknowledged()).toEqual([at(11, 0)]);
  });

  it('has events of a table completed until its consistency position was met in the stream', async () => {
    const { begin, deliver, opened, until, acknowledged } = await captureFixture();
    const session = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    expect(opened[0]?.complete(ORDERS.table)).toBe(true);
    deliver([{ kind: 'marker', marker: { kind: 'consistency', ...MARKER, epoch: 'given up' }, position: at(12), commitMs: 1 }]);
    deliver(transaction(13, [2]));
    await until(() => acknowledged().length > 1);
    expect(opened[0]?.complete(ORDERS.table)).toBe(true);
    deliver([{ kind: 'marker', marker: { kind: 'consistency', ...MARKER }, position: at(14), commitMs: 1 }]);
    deliver(transaction(15, [3]));
    await until(() => acknowledged().length > 2);
    expect(opened[0]?.complete(ORDERS.table)).toBe(false);
    await session.end();
  });

  it('completes events for good of a table whose copy was stopped: a session that does not know ends before its consistency position', async () => {
    const { begin, deliver, opened, until, acknowledged, stopCopy, published } = await captureFixture();
    const first = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    await stopCopy();
    deliver([{ kind: 'marker', marker: { kind: 'consistency', ...MARKER }, position: at(14), commitMs: 1 }]);
    deliver(transaction(15, [3]));
    await until(() => first.outcome() !== undefined);
    expect(first.outcome()).toEqual({});
    expect((await published()).at(-1)).toMatchObject({ kind: 'change', position: at(11) });
    const second = begin();
    await until(() => acknowledged().at(-1) === at(15, 0));
    expect((await published()).map(({ kind }) => kind)).toContain('consistency');
    expect(opened[1]?.complete(ORDERS.table)).toBe(true);
    await second.end();
  });

  it('asks for nothing behind a marker before it has taken it in', async () => {
    const { begin, deliver, asked, until, acknowledged } = await captureFixture();
    deliver(transaction(11, [1]));
    deliver([{ kind: 'marker', marker: { kind: 'consistency', ...MARKER }, position: at(12), commitMs: 1 }]);
    deliver(transaction(13, [2]));
    const session = begin();
    await until(() => acknowledged().at(-1) === at(13, 0));
    // The first transaction and the marker are asked for while it is to be completed, what follows is not.
    expect(asked.slice(0, 3)).toEqual([true, true, false]);
    await session.end();
  });

  it('publishes a transaction of any size in pieces', async () => {
    const sizes: number[] = [];
    const { begin, deliver, until, acknowledged, published } = await captureFixture((send, messages) => {
      sizes.push(sizeOf(messages));
      return send();
    });
    const session = begin();
    deliver(transaction(11, [1, 2, 3, 4, 5, 6, 7, 8], 'x'.repeat(1_500_000)));
    await until(() => acknowledged().length > 0);
    await session.end();
    expect((await published()).filter(({ kind }) => kind === 'change')).toHaveLength(8);
    expect(Math.max(...sizes)).toBeLessThan(6_000_000);
  });

  it.each([
    ['was created anew', (topic: string) => ({ topics: { [topic]: 'an earlier one' } })],
    ['has lost what the bus had acknowledged', (topic: string) => ({ ends: { [topic]: [99] } })],
  ])('does not go on in a topic that %s', async (_, change) => {
    const { begin, bus, deliver, until, acknowledged, remember, topic } = await captureFixture();
    const first = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    await first.end();
    await remember(change(topic));
    const end = (await bus.topic(topic))?.partitions[0]?.end;
    const second = begin();
    deliver(transaction(12, [2]));
    await until(() => second.outcome() !== undefined || acknowledged().length > 1);
    expect(second.outcome()).toMatchObject({ error: { kind: 'gap', hint: 'Run: nanosync pipeline resnapshot p' } });
    expect((await bus.topic(topic))?.partitions[0]?.end).toBe(end);
  });

  /** What follows a table's addition: a row from before its marker, the marker, which ends a piece, and a row from behind it. */
  const ADDITION: readonly (readonly SourceEvent[])[] = [
    transaction(12, [1], undefined, ITEMS.table),
    [{ kind: 'marker', marker: { kind: 'generation', pipeline: 'p', table: ITEMS.table, epoch: 'i1' }, position: at(13), commitMs: 1 }],
    [{ kind: 'commit', position: at(13), acknowledge: at(13, 0), commitMs: 1 }],
    transaction(14, [2], undefined, ITEMS.table),
    transaction(15, [3]),
  ];

  it('ends before the marker of a table that was added; the next one begins there, and what comes before the marker is for no generation', async () => {
    const { begin, deliver, until, acknowledged, published, add, opened } = await captureFixture();
    const first = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    // One that apply knows and nobody has taken in is no gap and no reason to end.
    const pipeline = await add({ record: true });
    for (const events of ADDITION) deliver(events);
    await until(() => first.outcome() !== undefined);
    expect(first.outcome()).toEqual({});
    for (const position of acknowledged()) expect(position < at(13, 0)).toBe(true);
    const second = begin(pipeline);
    await until(() => acknowledged().at(-1) === at(15, 0));
    expect([12, 13, 14].map((commit) => opened[1]?.begun?.(ITEMS.table, at(commit, 0)))).toEqual([false, false, true]);
    await second.end();
    const items = await published(topicsOf().changes('p', ITEMS.table));
    expect(items.map(({ kind, position }) => [kind, position])).toEqual([
      ['generation', at(13)],
      ['change', at(14)],
    ]);
    const orders = (await published()).filter(({ kind }) => kind === 'change');
    expect(orders.map(({ position }) => position)).toEqual([at(11), at(15)]);
  });

  it('counts a table that is taken out up to where the log ended when the first session heard of it, in every session, and then lets it go', async () => {
    const { begin, deliver, until, acknowledged, add, opened, record, endAt, happened } = await captureFixture();
    const pipeline = await add({ record: true });
    const first = begin(pipeline);
    for (const events of ADDITION) deliver(events);
    await until(() => acknowledged().at(-1) === at(15, 0));
    // Published in part: the commit is still to come.
    happened.length = 0;
    deliver(transaction(16, [4]).slice(0, -1));
    await until(() => happened.includes('stored'));
    await first.end();
    const leaving = { ...pipeline, recorded: [ORDERS.table], leaving: [ITEMS.table] };
    const counts = (session: number) => [15, 16, 17, 18].map((commit) => opened[session]?.begun?.(ITEMS.table, at(commit, 0)));
    endAt(at(17, 0));
    const second = begin(leaving);
    await until(() => opened.length === 2 && happened.length > 2);
    expect(counts(1)).toEqual([true, true, false, false]);
    expect(await record()).toMatchObject({ left: { [ITEMS.table]: at(17, 0) } });
    await second.end();
    endAt(at(30, 0));
    const third = begin(leaving);
    await until(() => opened.length === 3);
    await until(() => counts(2)[0] === true && happened.length > 3);
    expect(counts(2)).toEqual([true, true, false, false]);
    deliver([
      { kind: 'marker', marker: { kind: 'generation', pipeline: 'p', table: ITEMS.table, epoch: 'i2' }, position: at(18), commitMs: 1 },
    ]);
    deliver([{ kind: 'commit', position: at(18), acknowledge: at(18, 0), commitMs: 1 }]);
    await until(() => third.outcome() !== undefined);
    expect(third.outcome()).toEqual({});
    expect((await record())?.tables[ITEMS.table]?.epoch).toBe('i1');
    const fourth = begin(leaving);
    deliver(transaction(19, [5]));
    await until(() => acknowledged().at(-1) === at(19, 0));
    expect(opened[3]?.tables.map(({ schema }) => schema.table)).toEqual([ORDERS.table]);
    expect(Object.keys((await record())?.tables ?? {})).toEqual([ORDERS.table]);
    expect((await record())?.left).toEqual({ [ITEMS.table]: at(17, 0) });
    await fourth.end();
    // Once nothing is left of it, it may come again as any other.
    const fifth = begin({ ...leaving, leaving: [] });
    await until(() => opened.length === 5);
    await until(() => false);
    expect((await record())?.left).toEqual({});
    await fifth.end();
  });

  it('begins without a table that was taken out before anything was published, and never asks for its topic', async () => {
    const { begin, deliver, until, acknowledged, add, opened, bus, record, happened } = await captureFixture(undefined, {
      mayLoseMs: 1000,
    });
    const leaving = { ...(await add({ record: true })), recorded: [ORDERS.table], leaving: [ITEMS.table] };
    const first = begin(leaving);
    // From here on the planner may let the table go.
    await until(() => happened.includes('stored'));
    expect((await record())?.left).toHaveProperty(ITEMS.table);
    await bus.deleteTopic(topicsOf().changes('p', ITEMS.table));
    await until(() => first.outcome() !== undefined);
    expect(first.outcome()).toEqual({});
    const second = begin(leaving);
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    expect(acknowledged()).toEqual([at(11, 0)]);
    expect(opened.map(({ tables }) => tables.map(({ schema }) => schema.table))).toEqual([[ITEMS.table, ORDERS.table], [ORDERS.table]]);
    await second.end();
  });

  it('publishes nothing before the store can lose no more where a table ends, also when the session that stored it has died', async () => {
    const { begin, deliver, until, acknowledged, add, opened, record, endAt, happened } = await captureFixture(undefined, {
      mayLoseMs: 1000,
    });
    const pipeline = await add({ record: true });
    const first = begin(pipeline);
    for (const events of ADDITION) deliver(events);
    await until(() => acknowledged().at(-1) === at(15, 0));
    await first.end();
    const leaving = { ...pipeline, recorded: [ORDERS.table], leaving: [ITEMS.table] };
    endAt(at(17, 0));
    const second = begin(leaving);
    await until(() => opened.length === 2);
    expect((await record())?.left).toHaveProperty(ITEMS.table);
    await second.end();
    happened.length = 0;
    const third = begin(leaving);
    deliver(transaction(16, [4]));
    let waits = 0;
    await until(() => happened.includes('sent') || ++waits === 150);
    expect(waits).toBeGreaterThanOrEqual(99); // Of 10 ms.
    expect(waits).toBeLessThan(150);
    await third.end();
  });

  it('decodes a table by its older columns up to the marker of an epoch that has others, and by those from there on', async () => {
    const { begin, deliver, until, acknowledged, published, copyAnew, opened } = await captureFixture();
    const first = begin();
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    await first.end();
    const fewer = { ...ORDERS, columns: ORDERS.columns.slice(0, -1) };
    await copyAnew(fewer);
    const second = begin();
    const marker = { kind: 'generation', pipeline: 'p', table: ORDERS.table, epoch: 'e2' } as const;
    deliver(transaction(12, [2]));
    deliver([{ kind: 'marker', marker, position: at(13), commitMs: 1 }]);
    deliver([{ kind: 'commit', position: at(13), acknowledge: at(13, 0), commitMs: 1 }]);
    await until(() => second.outcome() !== undefined);
    expect(second.outcome()).toEqual({});
    expect((await published()).at(-1)).toMatchObject({ kind: 'change', position: at(12) });
    const third = begin();
    await until(() => opened.length === 3 && acknowledged().at(-1) === at(13, 0));
    expect(opened.map(({ tables }) => tables[0]?.schema.columns.length)).toEqual([5, 5, 4]);
    await third.end();
    const changes = (await published()).filter(({ kind }) => kind === 'change');
    expect(changes.map(({ position }) => position)).toEqual([at(11), at(12)]);
  });

  it('begins no table before its marker', async () => {
    const { begin, deliver, until, acknowledged, add, opened } = await captureFixture();
    const session = begin(await add({ record: true }));
    deliver(transaction(11, [1]));
    await until(() => acknowledged().length > 0);
    expect(opened[0]?.begun?.(ORDERS.table, L0)).toBe(true);
    expect(opened[0]?.begun?.(ITEMS.table, at(11, 0))).toBe(false);
    expect(opened[0]?.complete(ITEMS.table)).toBe(false);
    await session.end();
  });

  it('begins a table at the same place as the session before it: columns that it had before its marker do not end it', async () => {
    const { begin, deliver, until, happened, acknowledged, published, record, add } = await captureFixture();
    const pipeline = await add({ record: true });
    const first = begin(pipeline);
    deliver([
      { kind: 'schema', table: ITEMS.table, position: at(12, 0), commitMs: 1, reason: 'a column is missing' },
      ...transaction(12, [1]),
    ]);
    await until(() => acknowledged().includes(at(12, 0)));
    happened.length = 0;
    deliver(ADDITION[1] as readonly SourceEvent[]);
    await until(() => happened.includes('stored'));
    await first.end();
    // The marker is taken in, its commit is not: the next session begins before the marker and knows the table.
    expect(await record()).toMatchObject({ acknowledged: at(12, 0), published: at(13), tables: { [ITEMS.table]: { l0: at(13) } } });
    for (const events of ADDITION.slice(2)) deliver(events);
    const second = begin(pipeline);
    await until(() => acknowledged().at(-1) === at(15, 0));
    await second.end();
    const items = await published(topicsOf().changes('p', ITEMS.table));
    expect(items.map(({ kind, position }) => [kind, position])).toEqual([
      ['generation', at(13)],
      ['change', at(14)],
    ]);
  });

  it('goes on past the marker of an addition that the state store has lost', async () => {
    const { begin, deliver, until, acknowledged, add } = await captureFixture();
    const session = begin(await add({ record: false }));
    for (const events of ADDITION) deliver(events);
    expect(await until(() => acknowledged().at(-1) === at(15, 0))).toBe(true);
    await session.end();
  });

  it('takes a record that is gone for a gap, and not one that is still to come', async () => {
    const { begin, until, add, forget, happened } = await captureFixture();
    const waiting = begin(await add({ record: false }));
    await until(() => happened.length > 0);
    expect(waiting.outcome()).toBeUndefined();
    await waiting.end();
    const taken = await add({ record: true });
    await forget(ITEMS.table);
    const vanished = begin(taken);
    await until(() => vanished.outcome() !== undefined);
    expect(vanished.outcome()).toMatchObject({ error: { kind: 'gap', message: 'The state store has 1 of 2 tables of p.' } });
    // A store that has lost the whole addition is none.
    await add({ record: false });
    const rewound = begin(taken);
    await until(() => rewound.outcome() !== undefined);
    expect(rewound.outcome()).toMatchObject({ error: { kind: 'conflict' } });
  });
});
