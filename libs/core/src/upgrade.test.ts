import { expect, it } from 'vitest';
import { RUNNING } from './intent.ts';
import { RECORD_VERSION, stateKeys } from './records.ts';
import { upgraded } from './upgrade.ts';

it('gives a pipeline of version 1 the intent to run, and leaves the rest of it', () => {
  const old = { v: 1, phase: 'streaming', request: null };
  expect(upgraded(stateKeys.pipeline('p'), old)).toEqual({ ...old, v: RECORD_VERSION, intent: RUNNING });
  expect(upgraded(stateKeys.trouble('p', 's'), { v: 1, reason: '' })).toEqual({ v: RECORD_VERSION, reason: '' });
});

it('knows no generation beside another one in what version 1 wrote', () => {
  expect(upgraded(stateKeys.table('p', 't'), { v: 1, epoch: 'e' })).toEqual({ v: RECORD_VERSION, epoch: 'e', older: null });
  expect(upgraded(stateKeys.sinkReport('p', 't'), { v: 1, built: true })).toEqual({
    v: RECORD_VERSION,
    built: true,
    current: false,
    older: null,
  });
  expect(upgraded(stateKeys.capture('p'), { v: 1, session: 3, tables: { t: { epoch: 'e', quarantined: 2 } } })).toEqual({
    v: RECORD_VERSION,
    session: 3,
    tables: { t: { epoch: 'e', quarantined: 2, quarantinedBefore: 0 } },
  });
});

it('leaves what is of this version, of a newer one, or no record', () => {
  for (const value of [{ v: RECORD_VERSION }, { v: RECORD_VERSION + 1 }, 'text', null]) expect(upgraded('pipelines/p', value)).toBe(value);
});
