import { fileURLToPath } from 'node:url';
import { installed, run } from './child.ts';

/** What the pipeline is measured against. */
export interface Baselines {
  readonly copyWith: string;
  readonly streamWith: string;
  /** Seconds that one connection takes to copy a table out, in binary, to nowhere. */
  copy(dsn: string, table: string): Promise<number>;
  /** Seconds that a reader takes to drain a slot up to an LSN, to nowhere. */
  stream(dsn: string, slot: string, publication: string, end: string): Promise<number>;
}

const BARE_COPY = fileURLToPath(new URL('./bare-copy.ts', import.meta.url));
const BARE_STREAM = fileURLToPath(new URL('./bare-stream.ts', import.meta.url));

/** PostgreSQL's own programs where they are installed, else bare readers of ours that look at nothing. */
export function baselines(signal: AbortSignal): Baselines {
  const psql = installed('psql');
  const recvlogical = installed('pg_recvlogical');
  return {
    copyWith: psql ? 'psql' : 'a bare COPY reader (psql is not installed)',
    streamWith: recvlogical ? 'pg_recvlogical' : 'a bare slot reader (pg_recvlogical is not installed)',
    copy: async (dsn, table) => {
      const query = `COPY ${table} TO STDOUT (FORMAT binary)`;
      const { seconds } = psql
        ? await run('psql', ['-X', '-q', '-d', dsn, '-c', query], { signal })
        : await run(process.execPath, [BARE_COPY, dsn, query], { signal });
      return seconds;
    },
    stream: async (dsn, slot, publication, end) => {
      const plugin = ['-o', 'proto_version=1', '-o', `publication_names=${publication}`];
      const { seconds } = recvlogical
        ? await run('pg_recvlogical', ['-d', dsn, '-S', slot, '--start', '-n', '-F', '0', '-f', '-', '-E', end, ...plugin], { signal })
        : await run(process.execPath, [BARE_STREAM, dsn, slot, publication, end], { signal });
      return seconds;
    },
  };
}
