import { PipelineError } from '@nanosync/core';

/** SQLSTATEs and socket errors that pass by themselves. */
const PASSING = new Set(['57P01', '57P02', '57P03', '53300', '53400', '55P03', '57014', '40001', '40P01']);
const SOCKET = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN']);

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
        'Add a line for this user and host to pg_hba.conf.',
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
    case '53300':
      return unavailable(`PostgreSQL at ${place} has no free connection.`, 'Raise max_connections, or close other connections.', error);
  }
  if (code !== undefined && SOCKET.has(code))
    return unavailable(`PostgreSQL at ${place} does not answer (${code}).`, 'Check host, port and that the server runs.', error);
  if ((code !== undefined && (PASSING.has(code) || code.startsWith('08'))) || code === undefined)
    return unavailable(`PostgreSQL at ${place} failed: ${message}.`, undefined, error);
  return new PipelineError('prerequisite', `PostgreSQL at ${place} refused: ${message} (${code}).`, { cause: error });
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
