import { PipelineError } from './errors.ts';
import type { State } from './ports/state.ts';
import { RECORD_VERSION, stateKeys } from './records.ts';
import { upgraded } from './upgrade.ts';

/** A record as read, with the version that a compare-and-set names. */
export interface Stored<T> {
  readonly key: string;
  readonly value: T;
  readonly version: number;
}

/** Reads one record, an older one as it is written today; throws `newer-version` for one that a newer nanosync wrote. */
export async function readRecord<T>(state: State, key: string): Promise<Stored<T> | undefined> {
  const entry = await state.get(key);
  return entry === undefined ? undefined : checked<T>(entry);
}

/** Reads all records under a prefix, in key order. */
export async function listRecords<T>(state: State, prefix: string): Promise<readonly Stored<T>[]> {
  return (await state.list(prefix)).map((entry) => checked<T>(entry));
}

/**
 * Changes a record by compare-and-set, again on the newest value until it is not beaten. `change` returns the new value, or
 * undefined to leave it; it may run several times. Returns what is stored afterwards.
 */
export async function updateRecord<T>(state: State, key: string, change: (value: T) => T | undefined): Promise<Stored<T> | undefined> {
  for (;;) {
    const stored = await readRecord<T>(state, key);
    if (stored === undefined) return undefined;
    const value = change(stored.value);
    if (value === undefined) return stored;
    const version = await state.put(key, value, stored.version);
    if (version !== undefined) return { key, value, version };
  }
}

/**
 * Stores a record of a pipeline by compare-and-set. One that is new (`expected` 0) is taken back where the pipeline is gone: its deletion has
 * looked for its records before. Undefined when it was beaten, or taken back.
 */
export async function putOf(state: State, pipeline: string, key: string, value: unknown, expected: number): Promise<number | undefined> {
  const version = await state.put(key, value, expected);
  if (version === undefined || expected !== 0 || (await state.get(stateKeys.pipeline(pipeline))) !== undefined) return version;
  await state.remove(key, version);
  return undefined;
}

function checked<T>(entry: { readonly key: string; readonly value: unknown; readonly version: number }): Stored<T> {
  const written = (entry.value as { readonly v?: unknown }).v;
  if (typeof written === 'number' && written > RECORD_VERSION)
    throw new PipelineError(
      'newer-version',
      `The stored record ${entry.key} has version ${written}; this nanosync knows up to ${RECORD_VERSION}.`,
      {
        hint: 'Run the nanosync that wrote it, or a newer one.',
      },
    );
  return { ...entry, value: upgraded(entry.key, entry.value) as T };
}
