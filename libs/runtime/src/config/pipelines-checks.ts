import { referenceProblem } from '../secrets.ts';
import type { PipelinesFileData } from './pipelines-schema.ts';
import { CONNECTION_TYPES, REPLICATION_NAMES } from './pipelines-schema.ts';
import { nearest } from './suggest.ts';
import type { ConfigPath, ConfigProblems } from './yaml-file.ts';

type WrittenConnection = PipelinesFileData['connections'][number];
type WrittenPipeline = PipelinesFileData['pipelines'][number];

const PIPELINE_NAME = /^[a-z0-9][a-z0-9_-]{0,39}$/;

/** Checks what the shape of a pipelines file cannot say: names, references between its parts, and what exists so far. */
export function checkPipelines(data: PipelinesFileData, problems: ConfigProblems): void {
  if (data.pipelines.length === 0) problems.add(['pipelines'], 'has no pipeline');
  checkDuplicates(data.connections, 'connections', problems);
  checkDuplicates(data.pipelines, 'pipelines', problems);
  for (const [index, connection] of data.connections.entries()) checkConnection(connection, ['connections', index], problems);
  for (const [index, pipeline] of data.pipelines.entries()) checkPipeline(pipeline, ['pipelines', index], data.connections, problems);
  checkTargets(data.pipelines, problems);
}

function checkDuplicates(items: readonly { readonly name: string }[], section: string, problems: ConfigProblems): void {
  const first = new Map<string, number>();
  for (const [index, { name }] of items.entries()) {
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, index);
    else problems.add([section, index, 'name'], `${JSON.stringify(name)} is already the name of ${section}[${earlier}]; give each its own`);
  }
}

function checkConnection(connection: WrittenConnection, path: ConfigPath, problems: ConfigProblems): void {
  if (connection.name === '') problems.add([...path, 'name'], 'is empty');
  const type = CONNECTION_TYPES[connection.type];
  if (type === undefined) problems.add([...path, 'type'], unknownType(connection.type));
  else if (!type.ready) problems.add([...path, 'type'], `${connection.type} is not there yet; ${readyTypes()}`);
  const { dsn, properties } = connection;
  if (dsn !== undefined && properties !== undefined) problems.add([...path, 'properties'], 'stands beside dsn; keep one of the two', 'key');
  if (dsn === undefined && properties === undefined) problems.add(path, 'has neither dsn nor properties; give one of the two');
  if (dsn === '') problems.add([...path, 'dsn'], 'is empty');
  const badDsn = dsn === undefined ? undefined : referenceProblem(dsn);
  if (badDsn !== undefined) problems.add([...path, 'dsn'], badDsn);
  for (const [key, value] of Object.entries(properties ?? {})) {
    if (type?.ready && !type.properties.includes(key))
      problems.add([...path, 'properties', key], unknownProperty(key, type.properties), 'key');
    const bad = referenceProblem(String(value));
    if (bad !== undefined) problems.add([...path, 'properties', key], bad);
  }
  if (connection.type === 'duckdb' && properties !== undefined && dsn === undefined && !properties.path)
    problems.add([...path, 'properties'], 'has no path; name the DuckDB file there', 'key');
  if (connection.type === 'postgres' && properties !== undefined && dsn === undefined && !properties.host)
    problems.add([...path, 'properties'], 'has no host; name the server there', 'key');
}

function checkPipeline(
  pipeline: WrittenPipeline,
  path: ConfigPath,
  connections: readonly WrittenConnection[],
  problems: ConfigProblems,
): void {
  if (!PIPELINE_NAME.test(pipeline.name)) {
    const rule = 'use lower-case letters, digits, _ and -, at most 40, with a letter or digit first';
    problems.add([...path, 'name'], `${JSON.stringify(pipeline.name)} cannot be a pipeline name; ${rule}`);
  }
  const replication = REPLICATION_NAMES[pipeline.replication_type ?? 'cdc_backfill'];
  if (replication !== 'cdc_backfill')
    problems.add([...path, 'replication_type'], `${pipeline.replication_type} is not there yet; use cdc_backfill`);
  checkRole(pipeline.source.connection, 'source', [...path, 'source', 'connection'], connections, problems);
  checkRole(pipeline.sink.connection, 'sink', [...path, 'sink', 'connection'], connections, problems);
  checkTables(pipeline.source.tables, [...path, 'source', 'tables'], problems);
}

function checkRole(
  name: string,
  role: 'source' | 'sink',
  path: ConfigPath,
  connections: readonly WrittenConnection[],
  problems: ConfigProblems,
): void {
  const found = connections.find((connection) => connection.name === name);
  if (found === undefined) {
    const known = connections.map((connection) => connection.name);
    const near = nearest(name, known);
    const cure =
      near !== undefined ? `did you mean ${near}?` : known.length === 0 ? 'add it under connections' : `known are ${known.join(', ')}`;
    return problems.add(path, `${JSON.stringify(name)} is not among the connections; ${cure}`);
  }
  const type = CONNECTION_TYPES[found.type];
  if (type !== undefined && type.role !== role)
    problems.add(path, `${JSON.stringify(name)} is of type ${found.type}, which is a ${type.role}; name a ${role} here`);
}

function checkTables(tables: readonly string[], path: ConfigPath, problems: ConfigProblems): void {
  if (tables.length === 0) problems.add(path, 'is empty; name at least one table as schema.table');
  for (const [index, table] of tables.entries()) {
    const at = [...path, index];
    const dot = table.indexOf('.');
    if (table.includes('*')) problems.add(at, `${JSON.stringify(table)} is a pattern, which is not there yet; name each table`);
    else if (/^[^.\s]+$/.test(table)) problems.add(at, `${JSON.stringify(table)} names no schema; did you mean public.${table}?`);
    else if (dot <= 0 || dot === table.length - 1) problems.add(at, `${JSON.stringify(table)} is no table name; write schema.table`);
    else if (tables.indexOf(table) < index) problems.add(at, `${JSON.stringify(table)} is listed twice; keep one`);
  }
}

/** Two pipelines that write one table of one sink would undo one another's rows. */
function checkTargets(pipelines: readonly WrittenPipeline[], problems: ConfigProblems): void {
  const writers = new Map<string, string>();
  for (const [index, pipeline] of pipelines.entries()) {
    for (const [at, table] of pipeline.source.tables.entries()) {
      const target = JSON.stringify([pipeline.sink.connection, table]);
      const other = writers.get(target);
      if (other === undefined) writers.set(target, pipeline.name);
      else if (other !== pipeline.name)
        problems.add(
          ['pipelines', index, 'source', 'tables', at],
          `${JSON.stringify(table)} is already written to ${pipeline.sink.connection} by ${other}; leave it to one of them`,
        );
    }
  }
}

function unknownType(written: string): string {
  const near = nearest(written, Object.keys(CONNECTION_TYPES));
  return `${JSON.stringify(written)} is not a known type; ${readyTypes()}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

function readyTypes(): string {
  const ready = Object.entries(CONNECTION_TYPES).filter(([, type]) => type.ready);
  return `known are ${ready.map(([name, type]) => `${name} (${type.role})`).join(' and ')}`;
}

function unknownProperty(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return `is not a known property; ${near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`}`;
}
