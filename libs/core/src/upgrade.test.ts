import { expect, it } from 'vitest';
import { RUNNING } from './intent.ts';
import { RECORD_VERSION, stateKeys } from './records.ts';
import { upgraded } from './upgrade.ts';

it('gives a pipeline of version 1 the intent to run, and leaves the rest of it', () => {
  const old = { v: 1, phase: 'streaming', request: null };
  expect(upgraded(stateKeys.pipeline('p'), old)).toEqual({ ...old, v: RECORD_VERSION, intent: RUNNING });
  expect(upgraded(stateKeys.capture('p'), { v: 1, session: 3 })).toEqual({ v: RECORD_VERSION, session: 3 });
});

it('leaves what is of this version, of a newer one, or no record', () => {
  for (const value of [{ v: RECORD_VERSION }, { v: RECORD_VERSION + 1 }, 'text', null]) expect(upgraded('pipelines/p', value)).toBe(value);
});
