import type { Log, Problem } from '@nanosync/core';
import { describeError } from '@nanosync/core';
import type { RedisConnection } from './connection.ts';

/**
 * What this server may lose: a lost second costs work that is done again, and everything lost costs a resnapshot. Nothing in the state store is
 * truth about the sink, so these are mild. A user that may not ask is told nothing.
 */
export async function lossesOf(connection: RedisConnection): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  const add = (what: string, cure: string) => problems.push({ what: `Redis at ${connection.place} ${what}.`, cure, mild: true });
  const cure = 'Set appendonly yes and appendfsync always.';
  if (/^aof_enabled:0/m.test(await connection.info('persistence')))
    add('keeps no append-only file and may lose its newest writes, or everything, when it stops', cure);
  else {
    const sync = await connection.setting('appendfsync');
    if (sync !== undefined && sync !== 'always') add(`may lose its last second when its machine stops (appendfsync is ${sync})`, cure);
  }
  const policy = await connection.setting('maxmemory-policy');
  if (policy?.startsWith('allkeys') === true)
    add(`may throw the state away when its memory is full (maxmemory-policy is ${policy})`, 'Set maxmemory-policy noeviction.');
  return problems;
}

/** Warns once, at the start, of what this server may lose. */
export async function warnOfLosses(connection: RedisConnection, log: Log): Promise<void> {
  try {
    for (const { what, cure } of await lossesOf(connection)) log.warn('state store may lose what it was told', { reason: what, cure });
  } catch (error) {
    log.debug('redis does not say how durable it is', { err: describeError(error) });
  }
}
