import type { ErrorKind } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

interface Meaning {
  readonly kind: ErrorKind;
  readonly what: string;
  readonly hint: string;
}

/** What the first word of an error reply means. */
const REPLIES: Readonly<Record<string, Meaning>> = {
  NOAUTH: { kind: 'prerequisite', what: 'wants a password', hint: 'Give username and password under state.redis in the server file.' },
  WRONGPASS: {
    kind: 'prerequisite',
    what: 'refuses this user and password',
    hint: 'Correct username and password under state.redis in the server file.',
  },
  NOPERM: {
    kind: 'prerequisite',
    what: 'does not let this user do what the state store needs',
    hint: 'Give it the commands and keys that docs/configuration.md names: ACL SETUSER <user> ~{nanosync}* +@read +@write +@scripting +@connection +info +time.',
  },
  OOM: { kind: 'unavailable', what: 'has no memory left', hint: 'Raise maxmemory, or free some; keep maxmemory-policy noeviction.' },
  READONLY: { kind: 'unavailable', what: 'is a read-only replica', hint: 'Name the primary in state.redis.url, or wait for the failover.' },
  MASTERDOWN: { kind: 'unavailable', what: 'has lost its primary', hint: 'Name the primary in state.redis.url, or wait for the failover.' },
  LOADING: { kind: 'unavailable', what: 'is still loading its data', hint: 'Wait until it has.' },
  MISCONF: { kind: 'unavailable', what: 'cannot write to its disk', hint: 'Look into its log, and for free space.' },
  NOREPLICAS: { kind: 'unavailable', what: 'has fewer replicas than it wants', hint: 'Look at its replicas and min-replicas-to-write.' },
  BUSY: { kind: 'unavailable', what: 'is busy with a script of somebody', hint: 'Wait, or end that script.' },
  MOVED: {
    kind: 'prerequisite',
    what: 'is a node of a Redis Cluster that does not hold our keys',
    hint: 'Name the node that holds the slot of {nanosync} (or of your key_prefix) in state.redis.url.',
  },
  CLUSTERDOWN: { kind: 'unavailable', what: 'says that its cluster is down', hint: 'Look at its nodes.' },
  WRONGTYPE: { kind: 'prerequisite', what: 'has keys of somebody else under our prefix', hint: 'Set another state.redis.key_prefix.' },
};

const TLS = /certificate|self-signed|ERR_TLS|ERR_SSL|EPROTO|wrong version number|altname/i;

/** How Redis says within a script what NOPERM says outside. */
const SCRIPT_RIGHTS = /The user executing the script can't/;

/** A driver's error as one of ours; `place` is host and port. */
export function describedRedis(error: unknown, place: string): PipelineError {
  if (error instanceof PipelineError) return error;
  const { message = '', code = '' } = (error ?? {}) as { readonly message?: string; readonly code?: string };
  if (error instanceof Error) Reflect.deleteProperty(error, 'command'); // The driver puts the arguments there: values, and passwords.
  const reply = REPLIES[SCRIPT_RIGHTS.test(message) ? 'NOPERM' : (/^[A-Z]+/.exec(message)?.[0] ?? '')];
  if (reply !== undefined) return new PipelineError(reply.kind, `Redis at ${place} ${reply.what}.`, { hint: reply.hint, cause: error });
  if (TLS.test(`${code} ${message}`))
    return new PipelineError('prerequisite', `Redis at ${place} cannot be trusted over TLS (${code === '' ? 'handshake failed' : code}).`, {
      hint: 'Give its authority as state.redis.tls.ca, and use rediss:// only where the server speaks TLS.',
      cause: error,
    });
  if (/max number of clients/.test(message)) return away(place, 'has no connection left', 'Raise its maxclients.', error);
  if (/DB index/.test(message))
    return new PipelineError('config', `Redis at ${place} has no database of that number.`, {
      hint: 'Correct state.redis.url.',
      cause: error,
    });
  if (/^(ERR|WRONG)/.test(message))
    return new PipelineError('defect', `Redis at ${place} refused a command: ${firstWords(message)}`, { cause: error });
  const reason = /^E[A-Z]+$/.test(code) ? ` (${code})` : '';
  return away(
    place,
    `does not answer${reason}`,
    'Start it, or correct state.redis.url in the server file; it begins with rediss:// where the server speaks TLS, and only there.',
    error,
  );
}

function away(place: string, what: string, hint: string, cause: unknown): PipelineError {
  return new PipelineError('unavailable', `Redis at ${place} ${what}.`, { hint, cause });
}

/** Enough of an error reply to find it; the rest may quote values. */
function firstWords(message: string): string {
  return `${message.split(/[:'"`,]/)[0]?.slice(0, 80) ?? ''}.`;
}
