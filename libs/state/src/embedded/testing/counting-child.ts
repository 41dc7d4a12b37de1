import { writeSync } from 'node:fs';
import { argv } from 'node:process';
import { openEmbeddedState } from '../embedded-state.ts';

/** A process that adds one to `shared` by compare-and-set, so often or, without a number, until it is killed. Says each version it got. */
const [, , directory = '', times = ''] = argv;
const clock = { nowMs: () => 0, monotonicMs: () => 0, sleep: async () => undefined };
const state = await openEmbeddedState({ directory, clock });
for (let done = 0; times === '' || done < Number(times); ) {
  const entry = await state.get('shared');
  const value = ((entry?.value as number | undefined) ?? 0) + 1;
  const version = await state.put('shared', value, entry?.version ?? 0);
  if (version === undefined) continue; // The other process was first.
  done++;
  writeSync(1, `${value}\n`);
}
await state[Symbol.asyncDispose]();
