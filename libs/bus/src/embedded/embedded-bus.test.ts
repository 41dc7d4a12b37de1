import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeBus } from '@nanosync/testkit';
import { openEmbeddedBus } from './embedded-bus.ts';

describeBus('embedded', async (clock) => {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-bus-'));
  return {
    open: (limits) => openEmbeddedBus({ directory, clock, ...limits }),
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true }),
  };
});
