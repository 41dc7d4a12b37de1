import { cronProblem, isTimeZone } from '../schedule.ts';
import type { LoosePipeline, LooseQuery } from './pipelines-loose.ts';
import { nearest } from './suggest.ts';
import { parseDuration } from './units.ts';
import type { ConfigPath, ConfigProblems } from './yaml-file.ts';

/** The least time between two runs, in milliseconds. */
const LEAST_EVERY_MS = 1000;

/** The keys that only a query pipeline has, with the way to each. */
const OF_A_QUERY: readonly (readonly [keyof LooseQuery['has'], readonly string[]])[] = [
  ['query', ['source', 'query']],
  ['table', ['sink', 'table']],
  ['key', ['key']],
  ['schedule', ['schedule']],
  ['every', ['every']],
  ['time_zone', ['time_zone']],
  ['timeout', ['timeout']],
];

/** Checks what a pipeline of type `query` needs and others must not have, and the other way round. */
export function checkQuery(pipeline: LoosePipeline, path: ConfigPath, problems: ConfigProblems): void {
  const { query, replicationType } = pipeline;
  if (replicationType === 'query') return checkIsQuery(query, path, problems);
  for (const [key, at] of OF_A_QUERY)
    if (query.has[key])
      problems.add([...path, ...at], `goes only with replication_type: query, and this pipeline replicates tables`, 'key');
  const misspelt = query.sourceKeys.some((key) => nearest(key, ['tables', 'connection', 'query']) === 'tables');
  if (query.sourceKeys.length > 0 && !query.has.tables && !misspelt) problems.add([...path, 'source', 'tables'], 'is missing');
}

function checkIsQuery(query: LooseQuery, path: ConfigPath, problems: ConfigProblems): void {
  const { has, statement, table } = query;
  if (has.tables)
    problems.add([...path, 'source', 'tables'], 'does not go with replication_type: query; name the tables in the query', 'key');
  if (has.columns)
    problems.add([...path, 'source', 'columns'], 'does not go with replication_type: query; leave them out of the query', 'key');
  if (has.snapshot) problems.add([...path, 'snapshot'], 'does not go with replication_type: query, whose result is read as a whole', 'key');
  if (!has.query) problems.add([...path, 'source', 'query'], 'is missing; give the SELECT statement');
  if (statement?.trim() === '') problems.add([...path, 'source', 'query'], 'is empty');
  if (!has.table) problems.add([...path, 'sink', 'table'], 'is missing; name the table of the result as schema.table');
  const dot = table?.indexOf('.') ?? 1;
  if (table !== undefined && (dot <= 0 || dot === table.length - 1 || table.includes('*')))
    problems.add([...path, 'sink', 'table'], `${JSON.stringify(table)} is no table name; write schema.table`);
  checkKey(query, [...path, 'key'], problems);
  checkTimes(query, path, problems);
}

function checkKey({ key }: LooseQuery, path: ConfigPath, problems: ConfigProblems): void {
  if (key?.length === 0) problems.add(path, 'is empty; name columns of the result, or leave it out to replace the table whole');
  for (const [index, name] of key?.entries() ?? [])
    if (name !== undefined && key?.indexOf(name) !== index)
      problems.add([...path, index], `${JSON.stringify(name)} is listed twice; keep one`);
}

function checkTimes({ has, schedule, every, timeZone, timeout }: LooseQuery, path: ConfigPath, problems: ConfigProblems): void {
  if (has.schedule && has.every) problems.add([...path, 'every'], 'stands beside schedule; keep one of the two', 'key');
  if (!has.schedule && !has.every) problems.add(path, 'says neither every nor schedule: when is the query to run? For example every: 15m');
  const bad = schedule === undefined ? undefined : cronProblem(schedule);
  if (bad !== undefined) problems.add([...path, 'schedule'], `${JSON.stringify(schedule)} ${bad}`);
  if (every !== undefined && (parseDuration(every) ?? 0) < LEAST_EVERY_MS)
    problems.add([...path, 'every'], `${JSON.stringify(every)} is no duration of a second or more, such as 15m`);
  if (has.time_zone && !has.schedule) problems.add([...path, 'time_zone'], 'goes only with schedule', 'key');
  if (timeZone !== undefined && !isTimeZone(timeZone))
    problems.add([...path, 'time_zone'], `${JSON.stringify(timeZone)} is no time zone; write it as Europe/Berlin`);
  if (timeout !== undefined && (parseDuration(timeout) ?? 0) <= 0)
    problems.add([...path, 'timeout'], `${JSON.stringify(timeout)} is no duration, such as 5m`);
}
