import { referenceProblem } from '../secrets.ts';
import type { LooseConnection, LooseFile, LoosePipeline } from './pipelines-loose.ts';
import type { ConnectionType } from './pipelines-schema.ts';
import { CONNECTION_TYPES, sinkPlace } from './pipelines-schema.ts';
import { checkQuery } from './query-checks.ts';
import { nearest } from './suggest.ts';
import type { ConfigPath, ConfigProblems } from './yaml-file.ts';

/** Sinks in which names that differ in case alone are one. */
const IGNORES_CASE: Readonly<Record<string, string>> = { duckdb: 'DuckDB', bigquery: 'BigQuery' };

const PIPELINE_NAME = /^[a-z0-9][a-z0-9_-]{0,39}$/;

/** Checks what the shape of a pipelines file cannot say: names, references between its parts, and what exists so far. */
export function checkPipelines(file: LooseFile, problems: ConfigProblems): void {
  if (file.isEmpty) problems.add(['pipelines'], 'has no pipeline');
  checkDuplicates(file.connections, 'connections', problems);
  checkDuplicates(file.pipelines, 'pipelines', problems);
  for (const [index, connection] of file.connections.entries()) checkConnection(connection, ['connections', index], problems);
  for (const [index, pipeline] of file.pipelines.entries()) checkPipeline(pipeline, ['pipelines', index], file.connections, problems);
  checkTargets(file, problems);
}

function checkDuplicates(items: readonly { readonly name: string | undefined }[], section: string, problems: ConfigProblems): void {
  const first = new Map<string, number>();
  for (const [index, { name }] of items.entries()) {
    if (name === undefined) continue;
    const earlier = first.get(name);
    if (earlier === undefined) first.set(name, index);
    else problems.add([section, index, 'name'], `${JSON.stringify(name)} is already the name of ${section}[${earlier}]; give each its own`);
  }
}

function checkConnection(connection: LooseConnection, path: ConfigPath, problems: ConfigProblems): void {
  const { name, type: typeName, dsn, properties, hashKey } = connection;
  const type = CONNECTION_TYPES[typeName ?? ''];
  if (name === '') problems.add([...path, 'name'], 'is empty');
  if (typeName !== undefined && type === undefined) problems.add([...path, 'type'], unknownType(typeName));
  if (type?.ready === false) problems.add([...path, 'type'], `${typeName} is not there yet; ${readyTypes()}`);
  if (dsn !== undefined && properties !== undefined) problems.add([...path, 'properties'], 'stands beside dsn; keep one of the two', 'key');
  if (type?.ready && dsn === undefined && properties === undefined)
    problems.add(path, 'has neither dsn nor properties; give one of the two');
  if (typeName === 'duckdb' && (dsn ?? properties?.path) === ':memory:')
    problems.add(path, 'is in memory, which does not survive the process; name a file');
  if (type?.propertiesOnly === true && dsn !== undefined)
    problems.add([...path, 'dsn'], `does not go with ${typeName}; give properties: ${type.needed.join(', ')}`, 'key');
  if (hashKey !== undefined && type?.role !== 'source')
    problems.add([...path, 'hash_key'], 'is for a source, whose columns are hashed; take it out', 'key');
  const badKey = hashKey === undefined ? undefined : hashKey === '' ? 'is empty' : referenceProblem(hashKey);
  if (badKey !== undefined) problems.add([...path, 'hash_key'], badKey);
  if (dsn === '') problems.add([...path, 'dsn'], 'is empty');
  const badDsn = dsn === undefined ? undefined : referenceProblem(dsn);
  if (badDsn !== undefined) problems.add([...path, 'dsn'], badDsn);
  if (type?.ready && properties !== undefined && dsn === undefined) checkProperties(properties, type, [...path, 'properties'], problems);
}

function checkProperties(
  properties: Readonly<Record<string, unknown>>,
  type: ConnectionType,
  path: ConfigPath,
  problems: ConfigProblems,
): void {
  for (const [key, value] of Object.entries(properties)) {
    if (!type.properties.includes(key)) problems.add([...path, key], unknownProperty(key, type.properties), 'key');
    const bad = referenceProblem(String(value));
    if (bad !== undefined) problems.add([...path, key], bad);
  }
  const misspelt = Object.keys(properties).map((key) => nearest(key, type.properties));
  for (const needed of type.needed)
    if (!properties[needed] && !misspelt.includes(needed)) problems.add(path, `has no ${needed}, which is needed`, 'key');
  if (properties.key_file !== undefined && properties.credentials !== undefined)
    problems.add([...path, 'credentials'], 'stands beside key_file; keep one of the two', 'key');
}

function checkPipeline(pipeline: LoosePipeline, path: ConfigPath, connections: readonly LooseConnection[], problems: ConfigProblems): void {
  const { name, replicationType, source, sink, tables } = pipeline;
  if (name !== undefined && !PIPELINE_NAME.test(name)) {
    const rule = 'use lower-case letters, digits, _ and -, at most 40, with a letter or digit first';
    problems.add([...path, 'name'], `${JSON.stringify(name)} cannot be a pipeline name; ${rule}`);
  }
  if (source !== undefined) checkRole(source, 'source', [...path, 'source', 'connection'], connections, problems);
  if (sink !== undefined) checkRole(sink, 'sink', [...path, 'sink', 'connection'], connections, problems);
  if (tables !== undefined) checkTables(tables, [...path, 'source', 'tables'], problems);
  if (replicationType !== 'query') checkColumns(pipeline, [...path, 'source', 'columns'], problems);
  checkQuery(pipeline, path, problems);
}

function checkRole(
  name: string,
  role: 'source' | 'sink',
  path: ConfigPath,
  connections: readonly LooseConnection[],
  problems: ConfigProblems,
): void {
  const found = connections.find((connection) => connection.name === name);
  if (found === undefined) {
    const known = connections.flatMap((connection) => connection.name ?? []);
    const near = nearest(name, known);
    const cure =
      near !== undefined ? `did you mean ${near}?` : known.length === 0 ? 'add it under connections' : `known are ${known.join(', ')}`;
    return problems.add(path, `${JSON.stringify(name)} is not among the connections; ${cure}`);
  }
  const type = CONNECTION_TYPES[found.type ?? ''];
  if (type !== undefined && type.role !== role)
    problems.add(path, `${JSON.stringify(name)} is of type ${found.type}, which is a ${type.role}; name a ${role} here`);
}

function checkTables(tables: readonly (string | undefined)[], path: ConfigPath, problems: ConfigProblems): void {
  if (tables.length === 0) problems.add(path, 'is empty; name at least one table as schema.table');
  for (const [index, table] of tables.entries()) {
    if (table === undefined) continue;
    const at = [...path, index];
    const dot = table.indexOf('.');
    if (table.includes('*')) problems.add(at, `${JSON.stringify(table)} is a pattern, which is not there yet; name each table`);
    else if (/^[^.\s]+$/.test(table)) problems.add(at, `${JSON.stringify(table)} names no schema; did you mean public.${table}?`);
    else if (dot <= 0 || dot === table.length - 1) problems.add(at, `${JSON.stringify(table)} is no table name; write schema.table`);
    else if (tables.indexOf(table) < index) problems.add(at, `${JSON.stringify(table)} is listed twice; keep one`);
  }
}

/** Rules that would be for nothing hide nothing: a table or a column that is misspelt leaves its values in the open. */
function checkColumns({ columns, tables = [] }: LoosePipeline, path: ConfigPath, problems: ConfigProblems): void {
  const known = tables.filter((table) => table !== undefined);
  for (const { table, rules } of columns) {
    if (!known.includes(table)) {
      const near = nearest(table, known);
      problems.add(
        [...path, table],
        `is not among source.tables; ${near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`}`,
        'key',
      );
    }
    const { exclude = [], hash = [] } = rules;
    for (const [rule, names] of [
      ['exclude', exclude],
      ['hash', hash],
    ] as const)
      for (const [index, name] of names.entries()) {
        const twice = name !== undefined && (names.indexOf(name) < index || (rule === 'hash' && exclude.includes(name)));
        if (twice) problems.add([...path, table, rule, index], `${JSON.stringify(name)} is named twice; keep one`);
      }
  }
}

/**
 * Two pipelines that write one table of one sink would undo one another's rows, and so would two tables that have one name
 * there. Two connections to one file are one sink.
 */
function checkTargets({ pipelines, connections }: LooseFile, problems: ConfigProblems): void {
  const writers = new Map<string, { readonly index: number; readonly table: string }>();
  for (const [index, { sink, tables = [], query, replicationType }] of pipelines.entries()) {
    const isQuery = replicationType === 'query';
    for (const [at, table] of (isQuery ? [query.table] : tables).entries()) {
      if (sink === undefined || table === undefined) continue;
      const connection = connections.find(({ name }) => name === sink);
      const ignoresCase = connection?.type !== undefined && connection.type in IGNORES_CASE;
      const place = sinkPlace(connection ?? { name: sink });
      const target = JSON.stringify([place, ignoresCase ? table.toLowerCase() : table]);
      const other = writers.get(target) ?? { index, table };
      writers.set(target, other);
      const path = ['pipelines', index, ...(isQuery ? ['sink', 'table'] : ['source', 'tables', at])];
      if (other.table !== table)
        problems.add(
          path,
          `${JSON.stringify(table)} and ${JSON.stringify(other.table)} have one name in ${IGNORES_CASE[connection?.type ?? ''] ?? sink}, which ignores case; leave one out or give it a sink of its own`,
        );
      else if (other.index !== index) {
        const writer = pipelines[other.index]?.name ?? `pipelines[${other.index}]`;
        problems.add(path, `${JSON.stringify(table)} is already written to ${sink} by ${writer}; leave it to one of them`);
      }
    }
  }
}

function unknownType(written: string): string {
  const near = nearest(written, Object.keys(CONNECTION_TYPES));
  return `${JSON.stringify(written)} is not a known type; ${readyTypes()}${near === undefined ? '' : `; did you mean ${near}?`}`;
}

function readyTypes(): string {
  const ready = Object.entries(CONNECTION_TYPES).filter(([, type]) => type.ready);
  const words = ready.map(([name, type]) => `${name} (${type.role})`);
  return `known are ${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

function unknownProperty(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  return `is not a known property; ${near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`}`;
}
