import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeState } from '@nanosync/testkit';
import { openEmbeddedState } from './embedded-state.ts';

describeState('embedded', async (clock) => {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-state-'));
  return {
    open: () => openEmbeddedState({ directory, clock }),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  };
});
