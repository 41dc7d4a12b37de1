import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PostgresServer } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';

/** The demo's one folder, and what is in it. */
export interface Workplace {
  readonly directory: string;
  readonly pipelinesFile: string;
  readonly dataDir: string;
  readonly duckdb: string;
  readonly postgresDirectory: string;
  /** Removes everything. */
  remove(): void;
}

/** Makes the folder in the system's temporary one: a clone in a private folder would be closed to the server's user. */
export function makeWorkplace(name: string): Workplace {
  const directory = mkdtempSync(join(tmpdir(), `nanosync-${name}-`));
  chmodSync(directory, 0o711); // As root the server runs as another user and must get through to its data.
  return {
    directory,
    pipelinesFile: join(directory, 'pipelines.yaml'),
    dataDir: join(directory, 'nanosync-data'),
    duckdb: join(directory, `${name}.duckdb`),
    postgresDirectory: join(directory, 'postgres'),
    remove: () => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

/** Starts the source in the workplace. */
export async function startSource(workplace: Workplace, keep: boolean): Promise<PostgresServer> {
  return startPostgres({ directory: workplace.postgresDirectory, keep });
}

/** Writes a pipelines file as a user would. */
export function writePipelinesFile(
  workplace: Workplace,
  pipeline: {
    readonly name: string;
    readonly dsn: string;
    readonly tables: readonly string[];
    readonly targetRows: number;
    readonly replicationType?: string;
    readonly concurrency?: number;
    readonly maxRowsPerSecond?: number;
    /** Columns that are kept back, by table. */
    readonly excluded?: Readonly<Record<string, readonly string[]>>;
    /** Where it writes; the workplace's DuckDB file unless told otherwise. */
    readonly sink?: { readonly type: string; readonly properties: Readonly<Record<string, string>> };
  },
): void {
  const sink = pipeline.sink ?? { type: 'duckdb', properties: { path: workplace.duckdb } };
  const properties = Object.entries(sink.properties).map(([name, value]) => `      ${name}: ${JSON.stringify(value)}`);
  const excluded = Object.entries(pipeline.excluded ?? {}).map(
    ([table, names]) => `        ${table}: { exclude: [${names.join(', ')}] }\n`,
  );
  const text = `connections:
  - name: ${pipeline.name}-postgres
    type: postgres
    dsn: ${pipeline.dsn}
  - name: ${pipeline.name}-${sink.type}
    type: ${sink.type}
    properties:
${properties.join('\n')}
pipelines:
  - name: ${pipeline.name}
    replication_type: ${pipeline.replicationType ?? 'cdc_backfill'}
    source:
      connection: ${pipeline.name}-postgres
      tables: [${pipeline.tables.join(', ')}]
${excluded.length === 0 ? '' : `      columns:\n${excluded.join('')}`}    sink:
      connection: ${pipeline.name}-${sink.type}
    snapshot:
      target_rows_per_partition: ${pipeline.targetRows}
${optional('concurrency', pipeline.concurrency)}${optional('max_rows_per_second', pipeline.maxRowsPerSecond)}`;
  writeFileSync(workplace.pipelinesFile, text, { mode: 0o600 });
}

function optional(key: string, value: number | undefined): string {
  return value === undefined ? '' : `      ${key}: ${value}\n`;
}
