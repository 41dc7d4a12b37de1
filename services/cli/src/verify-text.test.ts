import { FakeClock } from '@nanosync/testkit';
import { expect, test } from 'vitest';
import { VerifyText } from './verify-text.ts';

const COUNTS = { different: 0, missing: 0, extra: 0, changing: 0, held: 0 };
const TABLE = {
  ...{ kind: 'table' as const, table: 'public.t', outcome: 'equal' as const, sourceRows: 3, sinkRows: 3, counts: COUNTS },
  ...{ unsendable: 0, notSettled: 0, buckets: { notExamined: 0, of: 256 }, position: '0/1', quarantined: 0, seconds: 1.26 },
};
const lines = (line: Parameters<VerifyText['linesOf']>[0]) => new VerifyText(new FakeClock()).linesOf(line).map(({ text }) => text);

test('a table that is equal', () => {
  expect(lines(TABLE)).toEqual(['public.t: equal; 3 rows at the source, 3 at the sink; at position 0/1 and later; 1.3 s']);
});

test('a table that differs, with all that is known of it', () => {
  const counts = { different: 1, missing: 2, extra: 3, changing: 4, held: 5 };
  const more = {
    outcome: 'different' as const,
    counts,
    unsendable: 6,
    notSettled: 7,
    buckets: { notExamined: 8, of: 256 },
    quarantined: 9,
  };
  const [text] = lines({ ...TABLE, ...more, position: null });
  expect(text).toBe(
    'public.t: DIFFERENT; 3 rows at the source, 3 at the sink; 1 different, 2 missing, 3 extra, 4 kept changing, 5 hidden by an open ' +
      'transaction, 6 cannot be sent, 7 more seem to differ and were not looked at, 8 of 256 parts of the keys seem to differ and were not ' +
      'looked at; 9 were put into quarantine, which may be the reason (nanosync tap --topic quarantine); as they are; 1.3 s; try again for ' +
      'those that could not be told',
  );
});

test('a table that was not compared', () => {
  expect(lines({ kind: 'table', table: 't', outcome: 'not-compared', reason: 'It is away.', cure: 'Wait.' })).toEqual([
    't: not compared: It is away. Wait.',
  ]);
});

test('keys by what is wrong with them, and values where they are there, cut to where they begin to differ', () => {
  const difference = { kind: 'difference' as const, table: 't', key: { a: 1, b: 'x' }, columns: [] };
  expect(lines({ ...difference, how: 'missing' })).toEqual(['t (a=1, b=x): missing at the sink']);
  const values = { columns: ['n', 'long'], source: { n: 1, long: `${'.'.repeat(99)}a` }, sink: { n: null, long: `${'.'.repeat(99)}b` } };
  expect(lines({ ...difference, how: 'different', ...values })).toEqual([
    't (a=1, b=x): differs in n, long',
    '  n: 1 at the source, null at the sink',
    `  long: ...${'.'.repeat(20)}a" at the source, ...${'.'.repeat(20)}b" at the sink`,
  ]);
});

test('nothing of a key or a value acts on the terminal', () => {
  const key = { id: 'a\u001b[2J\u009bb\u202e' };
  const difference = { kind: 'difference' as const, table: 'public.t', how: 'different' as const, key, columns: ['c'] };
  expect(lines({ ...difference, source: { c: '\u009b1m' }, sink: { c: null } })).toEqual([
    'public.t (id=a\\u001b[2J\\u009bb\\u202e): differs in c',
    '  c: "\\u009b1m" at the source, null at the sink',
  ]);
});

test('progress is said aside, when a step begins and now and then', async () => {
  const clock = new FakeClock();
  const text = new VerifyText(clock);
  const say = (done: number) => text.linesOf({ kind: 'progress', table: 't', step: 'reading', done, of: 100 });
  expect(say(0)).toEqual([{ aside: true, text: 't: reading: 0 of about 100 rows of both sides' }]);
  await clock.advance(4000);
  expect(say(50)).toEqual([]);
  await clock.advance(1000);
  expect(say(150)).toEqual([{ aside: true, text: 't: reading: 150 of about 150 rows of both sides' }]);
});
