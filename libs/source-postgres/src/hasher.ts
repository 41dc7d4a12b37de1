import { createHash, createHmac } from 'node:crypto';

/** Replaces values by hashes. */
export interface Hasher {
  /** The hash of bytes `start` to `end`, as 64 hexadecimal digits. */
  readonly hash: (bytes: Uint8Array, start: number, end: number) => string;
  /** Equal for equal keys alone, and tells nothing of the key that the hashes do not. */
  readonly fingerprint: string;
}

/** Hashes without a key. */
export const UNKEYED: Hasher = hasherOf(undefined);

/**
 * SHA-256, with a key HMAC-SHA-256 (RFC 2104). Without a key whoever guesses a value can check the guess: that hides a value from a glance and
 * from nobody who tries all telephone numbers.
 */
export function hasherOf(key: string | undefined): Hasher {
  const start = () => (key === undefined ? createHash('sha256') : createHmac('sha256', key));
  return {
    hash: (bytes, from, to) => start().update(bytes.subarray(from, to)).digest('hex'),
    fingerprint: start().update('nanosync hash key').digest('hex').slice(0, 16),
  };
}
