import type { Clock, FenceWait } from '@nanosync/core';
import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';
import { holdersUpTo } from './holders.ts';

const FIRST_WAIT_MS = 10;
const LONGEST_WAIT_MS = 500;

/**
 * The visibility fence. A transaction can have its commit in the log below the slot's start, so that it is never streamed, and
 * still be invisible to a read that begins now: it leaves the list of running transactions only afterwards, and with
 * synchronous replication that can take for ever. So: take a transaction id of one's own now, and wait until a fresh snapshot
 * counts everything below it as over. The in-progress list of one snapshot would not do: such a transaction can be missing there.
 */
export async function passFence(
  connect: Connect,
  clock: Clock,
  options: { readonly signal: AbortSignal; readonly onWait: (waits: readonly FenceWait[]) => void },
): Promise<void> {
  const { signal, onWait } = options;
  signal.throwIfAborted();
  await withConnection(connect, 'fence', async (client) => {
    const own = await queryJson<string>(client, 'SELECT to_json(pg_current_xact_id()::text)');
    for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
      const passed = await queryJson<boolean>(client, 'SELECT to_json(pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8)', [own]);
      if (passed) return;
      onWait(await holdersUpTo(client, own));
      await clock.sleep(wait, signal);
      signal.throwIfAborted();
    }
  });
}
