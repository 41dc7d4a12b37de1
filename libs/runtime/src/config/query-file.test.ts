import type { PipelineError } from '@nanosync/core';
import { describe, expect, it } from 'vitest';
import { nextTimeMs } from '../schedule.ts';
import { parsePipelines } from './pipelines-file.ts';

const CONNECTIONS = `connections:
  - { name: prod, type: postgres, dsn: postgres://app@db/shop }
  - { name: warehouse, type: duckdb, properties: { path: ./w.duckdb } }
`;
const QUERY = `pipelines:
  - name: daily
    replication_type: query
    source: { connection: prod, query: "SELECT day FROM orders" }
    sink: { connection: warehouse, table: reporting.daily }
    key: [day]
    every: 15m
`;

const parse = (pipelines: string) => parsePipelines(CONNECTIONS + pipelines, { file: 'p.yaml', concurrency: 4 });

function refused(from: string | RegExp, to: string): readonly string[] {
  const text = QUERY.replace(from, to);
  expect(text).not.toBe(QUERY);
  try {
    parse(text);
  } catch (error) {
    return (error as PipelineError).message.split('\n').map((line) => line.replace(/^p\.yaml:/, ''));
  }
  throw new Error('the file was not refused');
}

describe('a query pipeline', () => {
  it('has a statement, a table, a key and a schedule, and no tables', () => {
    const [definition] = parse(QUERY);
    expect(definition?.source.tables).toEqual([]);
    expect(definition?.query).toEqual({
      ...{ statement: 'SELECT day FROM orders', table: 'reporting.daily', key: ['day'] },
      ...{ schedule: { everyMs: 900_000 }, timeoutMs: null },
    });
    const [other] = parse(
      QUERY.replace('    key: [day]\n', '').replace('every: 15m', 'schedule: "0 6 * * *"\n    time_zone: Europe/Berlin\n    timeout: 5m'),
    );
    expect(other?.query).toMatchObject({ key: [], schedule: { cron: '0 6 * * *', timeZone: 'Europe/Berlin' }, timeoutMs: 300_000 });
  });

  it.each([
    [', query: "SELECT day FROM orders"', '', '7: pipelines[0].source.query is missing; give the SELECT statement'],
    ['"SELECT day FROM orders"', '" "', '7: pipelines[0].source.query is empty'],
    [', table: reporting.daily', '', '8: pipelines[0].sink.table is missing; name the table of the result as schema.table'],
    ['reporting.daily', 'daily', '8: pipelines[0].sink.table "daily" is no table name; write schema.table'],
    ['[day]', '[]', '9: pipelines[0].key is empty; name columns of the result, or leave it out to replace the table whole'],
    ['[day]', '[day, day]', '9: pipelines[0].key[1] "day" is listed twice; keep one'],
    ['every: 15m', 'every: 10', '10: pipelines[0].every must be text'],
    ['every: 15m', 'every: 10ms', '10: pipelines[0].every "10ms" is no duration of a second or more, such as 15m'],
    ['every: 15m', 'schedule: hourly', '10: pipelines[0].schedule "hourly" is no cron expression, such as "0 * * * *"'],
    ['every: 15m', 'schedule: "61 * * * *"', '10: pipelines[0].schedule "61 * * * *" is no cron expression: Invalid value for minute: 61'],
    ['every: 15m', 'schedule: "0 0 30 2 *"', '10: pipelines[0].schedule "0 0 30 2 *" names a time that never comes'],
    ['every: 15m', 'every: 15m\n    time_zone: UTC', '11: pipelines[0].time_zone goes only with schedule'],
    [
      'every: 15m',
      'schedule: "0 * * * *"\n    time_zone: Berlin',
      '11: pipelines[0].time_zone "Berlin" is no time zone; write it as Europe/Berlin',
    ],
    ['every: 15m', 'every: 15m\n    schedule: "0 * * * *"', '10: pipelines[0].every stands beside schedule; keep one of the two'],
    ['    every: 15m\n', '', '5: pipelines[0] says neither every nor schedule: when is the query to run? For example every: 15m'],
    ['every: 15m', 'every: 15m\n    timeout: soon', '11: pipelines[0].timeout "soon" is no duration, such as 5m'],
    [
      'connection: prod,',
      'connection: prod, tables: [public.orders],',
      '7: pipelines[0].source.tables does not go with replication_type: query; name the tables in the query',
    ],
    [
      'every: 15m',
      'every: 15m\n    snapshot: { concurrency: 2 }',
      '11: pipelines[0].snapshot does not go with replication_type: query, whose result is read as a whole',
    ],
    ['every: 15m', 'evry: 15m', '10: pipelines[0].evry is not a known key; did you mean every?'],
  ])('%s -> %s is refused', (from, to, says) => {
    expect(refused(from, to)).toContain(says);
  });

  it('keeps its keys from pipelines that replicate tables', () => {
    expect(refused('    replication_type: query\n', '')).toEqual(
      ['6: pipelines[0].source.query', '7: pipelines[0].sink.table', '8: pipelines[0].key', '9: pipelines[0].every']
        .map((place) => `${place} goes only with replication_type: query, and this pipeline replicates tables`)
        .concat('6: pipelines[0].source.tables is missing')
        .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)),
    );
  });

  it('is the only one that writes its table', () => {
    const tables = '  - { name: all, source: { connection: prod, tables: [Reporting.daily] }, sink: { connection: warehouse } }\n';
    expect(refused(/$/, tables)[0]).toMatch(/"Reporting.daily" and "reporting.daily" have one name in DuckDB/);
    expect(refused(/$/, QUERY.replace('pipelines:\n', '').replace('daily\n', 'twice\n'))).toEqual([
      '14: pipelines[1].sink.table "reporting.daily" is already written to warehouse by daily; leave it to one of them',
    ]);
  });
});

describe('the times of a schedule', () => {
  const at = (text: string) => Date.parse(text);

  it('lie so long after each start, or where a cron expression puts them', () => {
    expect(nextTimeMs({ everyMs: 900_000 }, 1000)).toBe(901_000);
    const hourly = { cron: '0 * * * *', timeZone: 'UTC' };
    expect(nextTimeMs(hourly, at('2026-05-01T10:00:00Z'))).toBe(at('2026-05-01T11:00:00Z'));
    expect(nextTimeMs(hourly, at('2026-05-01T10:00:00.001Z'))).toBe(at('2026-05-01T11:00:00Z'));
  });

  it('follow the clocks of their time zone', () => {
    const six = { cron: '0 6 * * *', timeZone: 'Europe/Berlin' };
    expect(nextTimeMs(six, at('2026-03-28T12:00:00Z'))).toBe(at('2026-03-29T04:00:00Z'));
    expect(nextTimeMs(six, at('2026-10-24T12:00:00Z'))).toBe(at('2026-10-25T05:00:00Z'));
  });
});
