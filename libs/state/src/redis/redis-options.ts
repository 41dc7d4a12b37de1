import type { Log } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';

/** Certificates as PEM texts. All absent: the system's authorities, and no certificate of our own. */
export interface RedisTls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** Settings of {@link openRedisState}. */
export interface RedisStateOptions {
  /** `redis://host:port/database`, or `rediss://` for TLS. A login in it is taken unless `username` or `password` is given. */
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: RedisTls;
  /** Several deployments may share one Redis under prefixes of their own. */
  readonly keyPrefix?: string;
  /** Gets warnings about how durable the server is; without it nobody asks. */
  readonly log?: Log;
}

/** Where and as whom to connect. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly db: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly tls: RedisTls | undefined;
}

const DEFAULT_PORT = 6379;

/** The address that the options name; throws PipelineError `config` where they name none. */
export function addressOf(options: RedisStateOptions): RedisAddress {
  const url = parsedUrl(options.url);
  const db = url.pathname.replace(/^\//, '');
  if (!/^\d*$/.test(db))
    throw new PipelineError('config', 'The Redis URL names a database that is no number.', { hint: 'Write redis://host:6379/0.' });
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    db: Number(db),
    username: options.username ?? decoded(url.username),
    password: options.password ?? decoded(url.password),
    tls: options.tls ?? (url.protocol === 'rediss:' ? {} : undefined),
  };
}

/** The address as messages show it: no login. */
export function placeOf({ host, port }: RedisAddress): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function parsedUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '')
    throw new PipelineError('config', 'The Redis URL is not of the form redis://host:port or rediss://host:port.', {
      hint: 'Correct state.redis.url in the server file.',
    });
  return url;
}

/** As written where it is not percent-encoded. */
function decoded(text: string): string | undefined {
  if (text === '') return undefined;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
