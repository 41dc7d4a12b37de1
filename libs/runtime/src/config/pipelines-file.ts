import { dirname, resolve } from 'node:path';
import type { ConnectionDefinition, PipelineDefinition, QueryDefinition } from '@nanosync/core';
import { defaultConcurrency } from '../environment.ts';
import { hasReference } from '../secrets.ts';
import { deepFreeze } from './freeze.ts';
import { checkPipelines } from './pipelines-checks.ts';
import { looselyRead } from './pipelines-loose.ts';
import type { PipelinesFileData } from './pipelines-schema.ts';
import { PIPELINES_FILE, REPLICATION_NAMES } from './pipelines-schema.ts';
import { parseDuration } from './units.ts';
import { parseYaml, readConfigFile } from './yaml-file.ts';

/** Rows a partition should have unless the file says otherwise. */
const TARGET_ROWS_PER_PARTITION = 100_000;

/** Settings of {@link parsePipelines}. */
export interface ParseOptions {
  /** The file's name, for messages and for relative paths in it. */
  readonly file: string;
  /** Default of `snapshot.concurrency`; max(4, CPUs) unless given. */
  readonly concurrency?: number;
}

/** Reads a pipelines file. Throws PipelineError `config` that lists everything that is wrong with it. */
export function loadPipelines(file: string): readonly PipelineDefinition[] {
  return parsePipelines(readConfigFile(file), { file });
}

/** Parses the text of a pipelines file: checked, defaults filled in, references kept, frozen. */
export function parsePipelines(text: string, options: ParseOptions): readonly PipelineDefinition[] {
  const { data, raw, problems } = parseYaml(text, options.file, PIPELINES_FILE);
  checkPipelines(looselyRead(raw), problems);
  problems.throwIfAny();
  return deepFreeze(definitionsOf(data as PipelinesFileData, options));
}

function definitionsOf(data: PipelinesFileData, options: ParseOptions): PipelineDefinition[] {
  const connections = new Map(data.connections.map((written) => [written.name, connectionOf(written, options.file)]));
  const connection = (name: string) => connections.get(name) as ConnectionDefinition;
  return data.pipelines.map((written) => ({
    name: written.name,
    replicationType: REPLICATION_NAMES[written.replication_type ?? 'cdc_backfill'],
    source: {
      connection: connection(written.source.connection),
      tables: written.source.tables ?? [],
      ...columnsOf(written.source.columns),
    },
    sink: { connection: connection(written.sink.connection) },
    snapshot: {
      concurrency: written.snapshot?.concurrency ?? options.concurrency ?? defaultConcurrency(),
      targetRowsPerPartition: written.snapshot?.target_rows_per_partition ?? TARGET_ROWS_PER_PARTITION,
      maxRowsPerSecond: written.snapshot?.max_rows_per_second ?? null,
    },
    ...(written.source.query === undefined ? {} : { query: queryOf(written) }),
  }));
}

/** What the checks before this have found whole. */
function queryOf(written: PipelinesFileData['pipelines'][number]): QueryDefinition {
  const { source, sink, key = [], every, schedule = '', time_zone: timeZone = 'UTC', timeout } = written;
  return {
    statement: source.query ?? '',
    table: sink.table ?? '',
    key,
    schedule: every === undefined ? { cron: schedule, timeZone } : { everyMs: parseDuration(every) ?? 0 },
    timeoutMs: timeout === undefined ? null : (parseDuration(timeout) ?? null),
  };
}

/** Properties that name a file, by type of connection. */
const FILE_PROPERTIES: Readonly<Record<string, readonly string[]>> = {
  bigquery: ['key_file'],
  postgres: ['sslrootcert', 'sslcert', 'sslkey'],
};

/** A certificate may stand there itself; `system` are the system's authorities. */
function isPath(written: string): boolean {
  return !hasReference(written) && !written.startsWith('-----BEGIN') && written !== 'system';
}

/** Tables without a rule are left out, so that equal rules are equal text. */
function columnsOf(written: PipelinesFileData['pipelines'][number]['source']['columns']): Pick<PipelineDefinition['source'], 'columns'> {
  const rules = Object.entries(written ?? {}).map(([table, { exclude = [], hash = [] }]) => [table, { exclude, hash }] as const);
  const columns = rules.filter(([, { exclude, hash }]) => exclude.length + hash.length > 0).sort(([a], [b]) => (a < b ? -1 : 1));
  return columns.length === 0 ? {} : { columns: Object.fromEntries(columns) };
}

function connectionOf(written: PipelinesFileData['connections'][number], file: string): ConnectionDefinition {
  const properties = Object.fromEntries(Object.entries(written.properties ?? {}).map(([name, value]) => [name, String(value)]));
  if (written.hash_key !== undefined) properties.hash_key = written.hash_key;
  // Files lie beside the pipelines file, from wherever the server is started later.
  for (const name of FILE_PROPERTIES[written.type] ?? []) {
    const path = properties[name];
    if (path !== undefined && isPath(path)) properties[name] = resolve(dirname(file), path);
  }
  if (written.type !== 'duckdb') return { name: written.name, type: written.type, dsn: written.dsn ?? null, properties };
  // A warehouse file lies beside the pipelines file, wherever the server is started from later: a relative path must not
  // come to mean another, empty warehouse.
  const path = written.dsn === undefined ? properties.path : written.dsn.replace(/^duckdb:(?:\/\/)?/, '');
  const absolute = path === undefined || hasReference(path) ? path : resolve(dirname(file), path);
  if (written.dsn === undefined)
    return { name: written.name, type: written.type, dsn: null, properties: { ...properties, path: absolute ?? '' } };
  return { name: written.name, type: written.type, dsn: absolute ?? null, properties };
}
