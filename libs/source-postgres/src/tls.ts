import { readFileSync } from 'node:fs';
import type { PeerCertificate } from 'node:tls';
import { PipelineError } from '@nanosync/core';

/** What a TLS connection is opened with; undefined where none is wanted. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly passphrase?: string;
  readonly rejectUnauthorized: boolean;
  readonly checkServerIdentity?: (host: string, certificate: PeerCertificate) => undefined;
}

/** The parameters of a connection string that are about TLS, by libpq's names (PostgreSQL manual, "SSL Support" of libpq). */
const PARAMETERS = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword', 'ssl', 'sslnegotiation', 'uselibpqcompat'] as const;

/** Modes that say themselves what is sent when the server has no TLS, and what is believed when it has. */
const MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const;
type Mode = (typeof MODES)[number];

const PEM = '-----BEGIN';
/** The authorities that the system trusts, instead of a file. */
const SYSTEM = 'system';

/**
 * Takes the TLS parameters out of a connection string: what is left, and what they mean as in libpq. `require` encrypts and believes any server,
 * unless `sslrootcert` names an authority; `verify-ca` believes who has a certificate of it, `verify-full` whose name is in that besides. A certificate is a path
 * or the text itself. Throws PipelineError `config` for what cannot be read, and for modes that may end up in plain text without a word.
 */
export function tlsOf(dsn: string): { readonly dsn: string; readonly tls: TlsSettings | undefined } {
  const at = dsn.indexOf('?');
  const query = new URLSearchParams(at < 0 ? '' : dsn.slice(at + 1));
  const given = new Map(PARAMETERS.flatMap((name) => (query.has(name) ? [[name, query.get(name) ?? ''] as const] : [])));
  for (const name of PARAMETERS) query.delete(name);
  const rest = query.size === 0 ? '' : `?${query}`;
  return { dsn: at < 0 ? dsn : `${dsn.slice(0, at)}${rest}`, tls: settingsOf(given) };
}

function settingsOf(given: ReadonlyMap<(typeof PARAMETERS)[number], string>): TlsSettings | undefined {
  const mode = modeOf(given);
  if (mode === 'disable') return undefined;
  const root = given.get('sslrootcert');
  const ca = root === undefined || root === SYSTEM ? undefined : pemOf('sslrootcert', root);
  if (mode === 'verify-ca' && ca === undefined)
    throw refused(
      'sslmode verify-ca needs sslrootcert',
      'Name the file of the authority as sslrootcert, or use verify-full, which checks the name besides.',
    );
  const [cert, key, passphrase] = [given.get('sslcert'), given.get('sslkey'), given.get('sslpassword')];
  if ((cert === undefined) !== (key === undefined)) throw refused('sslcert and sslkey go together', 'Name both, or neither.');
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined || key === undefined ? {} : { cert: pemOf('sslcert', cert), key: pemOf('sslkey', key) }),
    ...(passphrase === undefined ? {} : { passphrase }),
    rejectUnauthorized: mode !== 'require' || ca !== undefined,
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: () => undefined }),
  };
}

function modeOf(given: ReadonlyMap<(typeof PARAMETERS)[number], string>): Mode {
  const written = given.get('sslmode');
  const known = `It is one of ${MODES.join(', ')}.`;
  for (const name of ['ssl', 'sslnegotiation', 'uselibpqcompat'] as const)
    if (given.has(name)) throw refused(`${name} is not used in a connection here`, `Say it by sslmode. ${known}`);
  if (written === undefined) {
    const file = [...given.keys()][0];
    if (file === undefined) return 'disable';
    throw refused(`${file} stands there without sslmode, so it would be used for nothing`, 'Add sslmode: verify-full.');
  }
  const mode = MODES.find((one) => one === written);
  if (mode !== undefined) return mode;
  const cure = `Write sslmode require, or better verify-full with sslrootcert. ${known}`;
  if (written === 'prefer' || written === 'allow')
    throw refused(`sslmode ${written} may send passwords and rows in plain text without a word`, cure);
  if (written === 'no-verify') throw refused('sslmode no-verify is called require', known);
  throw refused(`${JSON.stringify(written)} is no sslmode`, known);
}

/** A certificate or key as text. The path is in the message, never what was read. */
function pemOf(name: string, written: string): string {
  if (written.startsWith(PEM)) return written;
  try {
    return readFileSync(written, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    throw new PipelineError('config', `${name} of the connection cannot be read from ${written} (${code}).`, {
      hint: 'Each process that opens the connection reads it there: check path and rights.',
    });
  }
}

function refused(what: string, hint: string): PipelineError {
  return new PipelineError('config', `${what}.`, { hint });
}
