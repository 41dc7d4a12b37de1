import { PipelineError } from '@nanosync/core';
import type { ApiAddress } from './client.ts';

const NOT_TRUSTED =
  /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT(?:_LOCALLY)?|CERT_[A-Z_]+|ERR_TLS_CERT_ALTNAME_INVALID)$/;
const NO_SERVER = /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|ENOENT)$/;

/** The sentence for a server that cannot be reached: none is there, TLS does not fit, or it went away. */
export function unreachableServer({ url, absentCure }: ApiAddress, cause: unknown): PipelineError {
  const { name, code: written } = innermost(cause as NodeJS.ErrnoException);
  const code = typeof written === 'string' ? written : name; // Of an abort it is a number.
  const say = (kind: 'prerequisite' | 'config' | 'unavailable', message: string, hint: string) =>
    new PipelineError(kind, message, { hint, cause });
  if (NO_SERVER.test(code)) return say('prerequisite', `No server answers at ${url} (${code}).`, absentCure);
  if (NOT_TRUSTED.test(code))
    return say('config', `The certificate of ${url} is not trusted (${code}).`, 'Name its authority as api.tls.ca in the server file.');
  if (code === 'EPROTO' || code.startsWith('ERR_SSL'))
    return say('config', `${url} does not speak TLS, or another version.`, 'Write http:// where the server has no api.tls.');
  if (code.startsWith('HPE_')) return say('config', `What answers at ${url} does not speak HTTP (${code}).`, 'Correct the address.');
  if (name === 'TimeoutError')
    return say('unavailable', `${url} gave no answer in time.`, "Look at the server's log, and at: nanosync status");
  return say(
    'unavailable',
    `The connection to ${url} broke before the answer was there (${code}).`,
    'Whether the server acted is not known. Run the command again: twice is the same as once. Where the server speaks TLS write https://',
  );
}

/** Of several addresses that were tried the first one's; of an abort why it was aborted. */
function innermost(error: NodeJS.ErrnoException): NodeJS.ErrnoException {
  if (error instanceof AggregateError) return (error.errors as NodeJS.ErrnoException[])[0] ?? error;
  return error.name === 'AbortError' && error.cause instanceof Error ? (error.cause as NodeJS.ErrnoException) : error;
}
