import { RUNNING } from './intent.ts';
import { RECORD_VERSION, stateKeys } from './records.ts';

type Json = Readonly<Record<string, unknown>>;

/** What each version added to the records before it, by the version that it leads to. */
const STEPS: Readonly<Record<number, (key: string, value: Json) => Json>> = {
  2: (key, value) => {
    if (key.startsWith(stateKeys.pipelines)) return { ...value, intent: RUNNING };
    if (key.startsWith('tables/')) return { ...value, older: null };
    if (key.startsWith('capture/')) return { ...value, tables: withQuarantinedBefore(value.tables) };
    // Which one users see is told again by whoever writes the table.
    if (key.startsWith('sink/')) return { ...value, current: false, older: null };
    return value;
  },
};

function withQuarantinedBefore(tables: unknown): Json {
  return Object.fromEntries(
    Object.entries((tables ?? {}) as Json).map(([table, value]) => [table, { quarantinedBefore: 0, ...(value as Json) }]),
  );
}

/**
 * A record as this version writes it, whatever version wrote it (pure). It is stored so with its next write; until then an older nanosync can
 * still read it. What has no version (it is no record) stays as it is.
 */
export function upgraded(key: string, value: unknown): unknown {
  const written = (value as { readonly v?: unknown } | null)?.v;
  if (typeof written !== 'number' || written >= RECORD_VERSION) return value;
  let record = value as Json;
  for (let version = written + 1; version <= RECORD_VERSION; version++) record = STEPS[version]?.(key, record) ?? record;
  return { ...record, v: RECORD_VERSION };
}
