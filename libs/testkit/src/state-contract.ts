import type { State } from '@nanosync/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeClock } from './fake-clock.ts';

/** A state store under test: `open` may be called several times, and each finds what the others wrote. */
export interface StateStoreUnderTest extends AsyncDisposable {
  open(): Promise<State>;
  /** Lets time pass for leases; default: the clock that the store was given. */
  pass?(ms: number): Promise<void>;
}

/** The contract of State, run on every adapter. */
export function describeState(name: string, start: (clock: FakeClock) => Promise<StateStoreUnderTest>): void {
  describe(`state contract: ${name}`, () => {
    let clock: FakeClock;
    let store: StateStoreUnderTest;
    let state: State;

    beforeEach(async () => {
      clock = new FakeClock();
      store = await start(clock);
      state = await store.open();
    });
    afterEach(async () => {
      await state[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    });

    test('a value is read back with the version of its write', async () => {
      expect(await state.get('a')).toBeUndefined();
      const value = { text: 'ä\u0000"', list: [1, null, true], nested: { big: Number.MAX_SAFE_INTEGER } };
      const version = await state.put('a', value, 0);
      expect(version).toBeGreaterThan(0);
      expect(await state.get('a')).toEqual({ key: 'a', value, version });
      const later = (await state.put('a', null, version as number)) as number;
      expect(later).toBeGreaterThan(version as number);
      expect(await state.get('a')).toEqual({ key: 'a', value: null, version: later });
    });

    test('only the writer who names the stored version writes', async () => {
      const version = (await state.put('a', 1, 0)) as number;
      expect(await state.put('a', 2, 0)).toBeUndefined();
      expect(await state.put('a', 2, version + 1)).toBeUndefined();
      expect(await state.put('b', 2, version)).toBeUndefined();
      expect((await state.get('a'))?.value).toBe(1);
      const raced = await Promise.all([state.put('a', 'x', version), state.put('a', 'y', version)]);
      expect(raced.filter((one) => one !== undefined)).toHaveLength(1);
    });

    test('a version is never used again for a key, also after its removal', async () => {
      const first = (await state.put('a', 1, 0)) as number;
      expect(await state.remove('a', first + 1)).toBe(false);
      expect(await state.remove('a', first)).toBe(true);
      const second = (await state.put('a', 2, 0)) as number;
      expect(second).toBeGreaterThan(first);
      expect(await state.put('a', 3, first)).toBeUndefined();
      expect(await state.remove('a')).toBe(true);
      expect(await state.remove('a')).toBe(true);
      expect(await state.remove('a', second)).toBe(false);
      expect(await state.get('a')).toBeUndefined();
    });

    test('putAll writes all or nothing', async () => {
      const version = (await state.put('a', 1, 0)) as number;
      const entries = (expected: number) => [
        { key: 'b', value: 2, expected: 0 },
        { key: 'a', value: 2, expected },
      ];
      expect(await state.putAll(entries(0))).toBe(false);
      expect(await state.get('b')).toBeUndefined();
      expect(await state.putAll(entries(version))).toBe(true);
      expect([(await state.get('a'))?.value, (await state.get('b'))?.value]).toEqual([2, 2]);
      expect(await state.putAll([])).toBe(true);
      const twice = { key: 'c', value: 1, expected: 0 };
      expect(await state.putAll([twice, twice])).toBe(false);
    });

    test('a list has the keys of a prefix in key order', async () => {
      for (const key of ['p/b', 'p/a', 'p', 'p0', 'p/ä', 'p/\u{1f600}', 'p/\uffee', 'p_', 'o/z', 'p/a/1']) await state.put(key, key, 0);
      const keys = (await state.list('p/')).map(({ key }) => key);
      expect(keys).toEqual(['p/a', 'p/a/1', 'p/b', 'p/ä', 'p/\uffee', 'p/\u{1f600}']);
      expect(await state.list('')).toHaveLength(10);
      expect(await state.list('x')).toEqual([]);
    });

    test("a value read is the reader's own", async () => {
      const written = { list: [1] };
      await state.put('a', written, 0);
      written.list.push(2);
      const read = (await state.get('a'))?.value as { list: number[] };
      read.list.push(3);
      expect((await state.get('a'))?.value).toEqual({ list: [1] });
    });

    test('what is not JSON is refused', async () => {
      await expect(state.put('a', undefined, 0)).rejects.toMatchObject({ kind: 'defect' });
      await expect(state.putAll([{ key: 'a', value: () => 1, expected: 0 }])).rejects.toMatchObject({ kind: 'defect' });
      expect(await state.get('a')).toBeUndefined();
    });

    test('a lease has one owner until it ends', async () => {
      const pass = (ms: number) => store.pass?.(ms) ?? clock.advance(ms);
      expect(await state.isLeased('l')).toBe(false);
      expect(await state.lease('l', 'one', 60_000)).toBe(true);
      expect(await state.lease('l', 'two', 60_000)).toBe(false);
      expect(await state.isLeased('l')).toBe(true);
      await pass(40_000);
      expect(await state.lease('l', 'one', 60_000)).toBe(true);
      await pass(40_000);
      expect(await state.lease('l', 'two', 60_000)).toBe(false);
      await pass(20_000);
      expect(await state.isLeased('l')).toBe(false);
      expect(await state.lease('l', 'two', 60_000)).toBe(true);
      await state.release('l', 'one');
      expect(await state.lease('l', 'one', 60_000)).toBe(false);
      await state.release('l', 'two');
      expect(await state.lease('l', 'one', 60_000)).toBe(true);
      expect(await state.lease('other', 'two', 60_000)).toBe(true);
    });

    test('of many who want a lease at once one gets it', async () => {
      const tokens = Array.from({ length: 20 }, (_, at) => `t${at}`);
      const got = await Promise.all(tokens.map((token) => state.lease('l', token, 60_000)));
      expect(got.filter(Boolean)).toHaveLength(1);
      expect(await state.lease('l', tokens[got.indexOf(true)] ?? '', 60_000)).toBe(true);
    });

    test('a long list has every key once, in order', async () => {
      const numbers = Array.from({ length: 1203 }, (_, at) => String(at).padStart(8, '0'));
      const entries = [...numbers].reverse().map((number) => ({ key: `ledger/${number}`, value: { number }, expected: 0 }));
      expect(await state.putAll(entries)).toBe(true);
      await state.put('ledger', 'before', 0);
      await state.put('ledges', 'behind', 0);
      const found = await state.list('ledger/');
      expect(found.map(({ value }) => (value as { number: string }).number)).toEqual(numbers);
      expect(new Set(found.map(({ version }) => version)).size).toBe(numbers.length);
      expect(await state.put('ledger/00000007', 'new', found[7]?.version ?? 0)).toBeGreaterThan(found[7]?.version ?? 0);
      expect(await state.remove('ledger/00000008', found[8]?.version ?? 0)).toBe(true);
      expect(await state.list('ledger/0000000')).toHaveLength(9);
    });

    test('everything survives a reopening, and two stores see each other', async () => {
      const version = (await state.put('a', 1, 0)) as number;
      await state.lease('l', 'one', 60_000);
      const other = await store.open();
      expect(await other.get('a')).toEqual({ key: 'a', value: 1, version });
      expect(await other.lease('l', 'two', 60_000)).toBe(false);
      const next = await other.put('a', 2, version);
      expect(await state.put('a', 3, version)).toBeUndefined();
      expect(await state.get('a')).toEqual({ key: 'a', value: 2, version: next });
      await other[Symbol.asyncDispose]();
    });
  });
}
