import { PipelineError } from '@nanosync/core';

/** SQLSTATEs and socket errors that pass by themselves. */
const PASSING = new Set(['57P01', '57P02', '57P03', '53300', '53400', '57014', '40001', '40P01']);
const SOCKET = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN']);

const UNTRUSTED = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
]);

/** SQLSTATE classes of errors about data: their message repeats the value (`invalid input syntax for type ...`). */
const OF_DATA = /^(?:2[0123]|44)...$/;

/**
 * What an error of the driver or the server means for a user, in one sentence that names the place. Server messages are kept,
 * their detail is not: it can hold cell values.
 */
export function explainPostgresError(error: unknown, place: string): PipelineError {
  if (error instanceof PipelineError) return error;
  if (error instanceof TypeError || error instanceof RangeError) return new PipelineError('defect', error.message, { cause: error });
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  switch (code) {
    case '28P01':
      return prerequisite(`PostgreSQL at ${place} refused the password.`, 'Correct user or password in the connection.', error);
    case '28000':
      return prerequisite(
        `PostgreSQL at ${place} refused the login: ${message}.`,
        /no encryption|SSL off/.test(message)
          ? 'Set sslmode in the connection: verify-full with sslrootcert, or require.'
          : 'Add a line for this user and host to pg_hba.conf.',
        error,
      );
    case '3D000':
      return prerequisite(`The database does not exist: ${place}.`, 'Correct the database name in the connection.', error);
    case '42501':
      return prerequisite(`PostgreSQL at ${place} refused: ${message}.`, 'Grant the right to this user.', error);
    case '08P01':
      return /startup parameter/.test(message)
        ? prerequisite(
            `A connection pooler answers at ${place}, not PostgreSQL.`,
            'Connect to the database server itself: replication does not pass a pooler.',
            error,
          )
        : unavailable(`PostgreSQL at ${place} broke the protocol: ${message}.`, undefined, error);
    case 'ENOTFOUND':
      return unavailable(`The host is unknown: ${place}.`, 'Correct the host name in the connection.', error);
    case '55P03':
      return unavailable(
        `A lock at ${place} stayed taken: ${message}.`,
        'End the session that holds it (pg_blocking_pids tells which), or wait.',
        error,
      );
    case '53300':
      return unavailable(`PostgreSQL at ${place} has no free connection.`, 'Raise max_connections, or close other connections.', error);
  }
  const tls = tlsProblem(code, message);
  if (tls !== undefined) return prerequisite(`${tls.what} at ${place}.`, tls.cure, error);
  if (code !== undefined && SOCKET.has(code))
    return unavailable(`PostgreSQL at ${place} does not answer (${code}).`, 'Check host, port and that the server runs.', error);
  if ((code !== undefined && (PASSING.has(code) || code.startsWith('08'))) || code === undefined)
    return unavailable(`PostgreSQL at ${place} failed: ${message}.`, undefined, error);
  const says = code !== undefined && OF_DATA.test(code) ? 'a value, with a message that may hold it and is not shown' : message;
  return new PipelineError('prerequisite', `PostgreSQL at ${place} refused: ${says} (${code}).`, { cause: error });
}

/** What keeps a TLS connection from being made; nothing of it passes by itself. */
function tlsProblem(code = '', message: string): { readonly what: string; readonly cure: string } | undefined {
  if (message === 'The server does not support SSL connections')
    return {
      what: 'PostgreSQL has no TLS (ssl = off)',
      cure: 'Run: ALTER SYSTEM SET ssl = on; with a certificate, or set sslmode disable in the connection.',
    };
  if (UNTRUSTED.has(code))
    return {
      what: `No authority that is trusted has signed the certificate (${code}) of PostgreSQL`,
      cure: "Name the authority's file as sslrootcert.",
    };
  if (code === 'CERT_HAS_EXPIRED') return { what: 'The certificate has expired of PostgreSQL', cure: 'Renew it on the server.' };
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return {
      what: 'The certificate is for another host than that of PostgreSQL',
      cure: 'Connect by a name that is in it, or use sslmode verify-ca.',
    };
  if (/^ERR_(SSL|OSSL|TLS)/.test(code))
    return { what: `TLS failed (${message}) with PostgreSQL`, cure: 'Check sslcert, sslkey and sslpassword.' };
  return undefined;
}

/** The SQLSTATE of a server's error or the code of a socket's. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

function prerequisite(message: string, hint: string, cause: unknown): PipelineError {
  return new PipelineError('prerequisite', message, { hint, cause });
}

function unavailable(message: string, hint: string | undefined, cause: unknown): PipelineError {
  return new PipelineError('unavailable', message, hint === undefined ? { cause } : { hint, cause });
}
