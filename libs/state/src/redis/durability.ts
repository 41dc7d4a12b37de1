import type { Log } from '@nanosync/core';
import { describeError } from '@nanosync/core';
import type { RedisConnection } from './connection.ts';

/**
 * Says once, at the start, what this server may lose: a lost second costs work that is done again, and everything lost costs a resnapshot.
 * Nothing in the state store is truth about the sink, so it is a warning and no refusal.
 */
export async function warnOfLosses(connection: RedisConnection, log: Log): Promise<void> {
  try {
    const persistence = await connection.info('persistence');
    const cure = 'set appendonly yes and appendfsync always';
    if (/^aof_enabled:0/m.test(persistence)) {
      log.warn('redis keeps no append-only file and may lose its newest writes or everything when it stops', {
        redis: connection.place,
        cure,
      });
    } else {
      const sync = await connection.setting('appendfsync'); // A user that may not ask is told nothing.
      if (sync !== undefined && sync !== 'always')
        log.warn('redis may lose its last second when its machine stops', { redis: connection.place, appendfsync: sync, cure });
    }
    const policy = await connection.setting('maxmemory-policy');
    if (policy?.startsWith('allkeys') === true)
      log.warn('redis may throw the state away when its memory is full', {
        redis: connection.place,
        maxmemory_policy: policy,
        cure: 'set maxmemory-policy noeviction',
      });
  } catch (error) {
    log.debug('redis does not say how durable it is', { err: describeError(error) });
  }
}
