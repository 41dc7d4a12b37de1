import type { Clock, FenceOptions } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { queryJson, withConnection } from './connection.ts';
import { holdersUpTo } from './holders.ts';

const FIRST_WAIT_MS = 10;
const LONGEST_WAIT_MS = 500;
/** Short transactions are always running: only a wait that lasts is worth a word, and then not each time. */
const FIRST_REPORT_MS = 200;
const NEXT_REPORT_MS = 2_000;

/**
 * The visibility fence. A transaction can have its commit in the log below the slot's start, so that it is never streamed, and
 * still be invisible to a read that begins now: it leaves the list of running transactions only afterwards, and with
 * synchronous replication that can take for ever. So: take a transaction id of one's own now, and wait until a fresh snapshot
 * counts everything below it as over. The in-progress list of one snapshot would not do: such a transaction can be missing there.
 */
export async function passFence(connect: Connect, clock: Clock, options: FenceOptions): Promise<void> {
  options.signal.throwIfAborted();
  try {
    await withConnection(connect, 'fence', (client) => waitUntilVisible(client, clock, options));
  } catch (error) {
    options.signal.throwIfAborted();
    throw error;
  }
}

async function waitUntilVisible(client: Client, clock: Clock, { signal, onWait }: FenceOptions): Promise<void> {
  // Invariant 'visibility-fence': an id taken now is above every transaction that could have committed below L0.
  const own = await queryJson<string>(client, 'SELECT to_json(pg_current_xact_id()::text)');
  let reportAt = clock.monotonicMs() + FIRST_REPORT_MS;
  for (let wait = FIRST_WAIT_MS; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS)) {
    if (await queryJson<boolean>(client, 'SELECT to_json(pg_snapshot_xmin(pg_current_snapshot()) >= $1::xid8)', [own])) return;
    if (clock.monotonicMs() >= reportAt) {
      onWait(await holdersUpTo(client, own));
      reportAt = clock.monotonicMs() + NEXT_REPORT_MS;
    }
    await clock.sleep(wait, signal);
    signal.throwIfAborted();
  }
}
