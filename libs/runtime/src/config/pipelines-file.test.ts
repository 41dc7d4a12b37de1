import type { PipelineError } from '@nanosync/core';
import { describe, expect, it } from 'vitest';
import { parsePipelines } from './pipelines-file.ts';
import { pipelinesJsonSchema } from './pipelines-schema.ts';

const CONNECTIONS = `connections:
  - name: prod-postgres
    type: postgres
    dsn: postgres://app:\${env:PGPASSWORD}@db.example/shop
  - name: warehouse
    type: duckdb
    properties:
      path: ./warehouse.duckdb
`;

const SPEC_PIPELINE = `pipelines:
  - name: orders-pipeline
    source:
      connection: prod-postgres
      tables: [public.orders]
    sink:
      connection: warehouse
    snapshot:
      concurrency: 8
      target_rows_per_partition: 100000
`;

const options = { file: '/etc/nanosync/pipelines.yaml', concurrency: 6 };

function parse(pipelines: string, connections = CONNECTIONS) {
  return parsePipelines(connections + pipelines, options);
}

/** The lines of the error that a file is refused with. */
function problems(text: string): readonly string[] {
  try {
    parsePipelines(text, { ...options, file: 'p.yaml' });
  } catch (error) {
    expect((error as PipelineError).kind).toBe('config');
    return (error as PipelineError).message.split('\n');
  }
  throw new Error('the file was not refused');
}

/** The problems of one pipeline whose lines are replaced. */
function refused(from: string | RegExp, to: string, connections = CONNECTIONS): readonly string[] {
  const text = (connections + SPEC_PIPELINE).replace(from, to);
  expect(text).not.toBe(connections + SPEC_PIPELINE);
  return problems(text);
}

describe('a pipelines file', () => {
  it('is read as in the spec, with references kept and relative warehouse paths beside the file', () => {
    expect(parse(SPEC_PIPELINE)).toEqual([
      {
        name: 'orders-pipeline',
        replicationType: 'cdc_backfill',
        source: {
          connection: { name: 'prod-postgres', type: 'postgres', dsn: 'postgres://app:${env:PGPASSWORD}@db.example/shop', properties: {} },
          tables: ['public.orders'],
        },
        sink: { connection: { name: 'warehouse', type: 'duckdb', dsn: null, properties: { path: '/etc/nanosync/warehouse.duckdb' } } },
        snapshot: { concurrency: 8, targetRowsPerPartition: 100_000, maxRowsPerSecond: null },
      },
    ]);
  });

  it('fills in defaults', () => {
    const [definition] = parse(SPEC_PIPELINE.replace(/ {4}snapshot:[\s\S]*$/, ''));
    expect(definition?.replicationType).toBe('cdc_backfill');
    expect(definition?.snapshot).toEqual({ concurrency: 6, targetRowsPerPartition: 100_000, maxRowsPerSecond: null });
    const [without] = parsePipelines(CONNECTIONS + SPEC_PIPELINE.replace(/ {6}concurrency.*\n/, ''), { file: 'p.yaml' });
    expect(without?.snapshot.concurrency).toBeGreaterThanOrEqual(4);
  });

  it('is frozen all the way down', () => {
    const definitions = parse(SPEC_PIPELINE);
    expect(() => (definitions[0]?.source.tables as string[]).push('x')).toThrow(TypeError);
    expect(Object.isFrozen(definitions[0]?.sink.connection.properties)).toBe(true);
  });

  it.each([
    ['duckdb:///data/w.duckdb', '/data/w.duckdb'],
    ['w.duckdb', '/etc/nanosync/w.duckdb'],
    ['${env:WAREHOUSE}', '${env:WAREHOUSE}'],
  ])('takes a DuckDB dsn %s', (dsn, stored) => {
    const connections = CONNECTIONS.replace(/ {4}properties:\n {6}path.*\n/, `    dsn: ${dsn}\n`);
    expect(parse(SPEC_PIPELINE, connections)[0]?.sink.connection.dsn).toBe(stored);
  });

  it('gives its JSON Schema', () => {
    const schema = JSON.stringify(pipelinesJsonSchema());
    expect(schema).toContain('target_rows_per_partition');
    const { items } = (pipelinesJsonSchema() as { properties: { connections: { items: { properties: object; allOf: object[] } } } })
      .properties.connections;
    expect(items.properties).toMatchObject({ type: { enum: ['postgres', 'duckdb', 'bigquery'] } });
    expect(items.allOf[1]).toMatchObject({ if: { properties: { type: { const: 'duckdb' } } } });
    expect(pipelinesJsonSchema()).toMatchObject({ type: 'object', additionalProperties: false, required: ['connections', 'pipelines'] });
  });
});

describe('a bigquery connection', () => {
  const connections = (properties: string) => CONNECTIONS.replace(/type: duckdb[\s\S]*/, `type: bigquery\n    ${properties}\n`);
  const refusals = (properties: string) => problems(connections(properties) + SPEC_PIPELINE);

  it('has project, dataset and a key, whose path is relative to the file', () => {
    const written = 'properties: { project: p, dataset: d, location: EU, key_file: k.json }';
    expect(parse(SPEC_PIPELINE, connections(written))[0]?.sink.connection).toEqual({
      ...{ name: 'warehouse', type: 'bigquery', dsn: null },
      properties: { project: 'p', dataset: 'd', location: 'EU', key_file: '/etc/nanosync/k.json' },
    });
  });

  it('is refused with all that is wrong with it', () => {
    expect(refusals('properties: { dataste: d, region: EU }')).toEqual([
      'p.yaml:7: connections[1].properties.dataste is not a known property; did you mean dataset?',
      'p.yaml:7: connections[1].properties.region is not a known property; known are project, dataset, location, key_file, credentials, endpoint, flush_interval',
      'p.yaml:7: connections[1].properties has no project, which is needed',
    ]);
    expect(refusals('properties: { project: p, dataset: d, key_file: k, credentials: x }')).toEqual([
      'p.yaml:7: connections[1].properties.credentials stands beside key_file; keep one of the two',
    ]);
    expect(refusals('dsn: bigquery://p/d')).toEqual([
      'p.yaml:7: connections[1].dsn does not go with bigquery; give properties: project, dataset',
    ]);
  });

  it('is one sink with another of the same dataset', () => {
    const twice = connections(
      'properties: { project: p, dataset: d }\n  - { name: twin, type: bigquery, properties: { project: p, dataset: d } }',
    );
    const other = SPEC_PIPELINE.replace('pipelines:\n', '')
      .replace('orders-pipeline', 'other')
      .replace('connection: warehouse', 'connection: twin');
    expect(problems(twice + SPEC_PIPELINE + other)).toEqual([expect.stringContaining('is already written to twin by orders-pipeline')]);
    expect(parse(SPEC_PIPELINE + other, twice.replace('dataset: d } }', 'dataset: e } }'))).toHaveLength(2);
  });
});

describe('a wrong pipelines file', () => {
  it('is refused with file, line, path and the likely key', () => {
    expect(refused('sink:\n      connection', 'sink:\n      connexion')).toEqual([
      'p.yaml:15: pipelines[0].sink.connexion is not a known key; did you mean connection?',
    ]);
    expect(refused('target_rows_per_partition', 'targetRowsPerPartition')).toEqual([
      'p.yaml:18: pipelines[0].snapshot.targetRowsPerPartition is not a known key; did you mean target_rows_per_partition?',
    ]);
    expect(refused('    snapshot:', '    retention:')).toEqual([
      'p.yaml:16: pipelines[0].retention is not a known key; known are name, replication_type, source, sink, key, every, schedule, time_zone, timeout, snapshot',
    ]);
    expect(refused('connections:', 'connection:')[0]).toBe('p.yaml:1: connection is not a known key; did you mean connections?');
  });

  it.each([
    ['name: orders-pipeline', 'name: Orders', '"Orders" cannot be a pipeline name; use lower-case letters'],
    ['name: orders-pipeline', `name: ${'a'.repeat(41)}`, 'cannot be a pipeline name'],
    ['name: orders-pipeline', 'name: 7', 'pipelines[0].name must be text'],
    ['public.orders', 'orders', '"orders" names no schema; did you mean public.orders?'],
    ['public.orders', '.orders', '".orders" is no table name; write schema.table'],
    ['public.orders', 'public.*', '"public.*" is a pattern, which is not there yet'],
    ['public.orders', 'public.orders, public.orders', '"public.orders" is listed twice'],
    ['[public.orders]', '[]', 'pipelines[0].source.tables is empty'],
    ['[public.orders]', 'public.orders', 'pipelines[0].source.tables must be a list'],
    ['concurrency: 8', 'concurrency: 0', 'pipelines[0].snapshot.concurrency must be at least 1'],
    ['concurrency: 8', 'concurrency: 1.5', 'pipelines[0].snapshot.concurrency must be a whole number'],
    ['connection: warehouse', 'connection: warehous', '"warehous" is not among the connections; did you mean warehouse?'],
    ['connection: warehouse', 'connection: elsewhere', 'known are prod-postgres, warehouse'],
    ['connection: warehouse', 'connection: prod-postgres', '"prod-postgres" is of type postgres, which is a source; name a sink here'],
    ['type: duckdb', 'type: snowflake', '"snowflake" is not a known type; known are postgres (source), duckdb (sink) and bigquery (sink)'],
    ['type: postgres', 'type: sqlserver', 'connections[0].type sqlserver is not there yet'],
    ['type: postgres', 'type: postgresql', 'did you mean postgres?'],
    ['${env:PGPASSWORD}', '${PGPASSWORD}', 'connections[0].dsn has a ${...} that is no reference; write ${env:NAME} or ${secret:NAME}'],
    ['      path:', '      pth:', 'connections[1].properties.pth is not a known property; did you mean path?'],
    ['path: ./warehouse.duckdb', 'path: ":memory:"', 'connections[1] is in memory, which does not survive the process; name a file'],
    [/ {4}dsn.*\n/, '', 'connections[0] has neither dsn nor properties'],
    ['    type: duckdb', '    type: duckdb\n    dsn: x', 'connections[1].properties stands beside dsn; keep one of the two'],
  ])('is refused: %s -> %s', (from, to, problem) => {
    const found = refused(from, to);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(problem);
    expect(found[0]).toMatch(/^p\.yaml:\d+: /);
  });

  it.each([
    ['cdc', 'cdc'],
    ['cdc_only', 'cdc'],
    ['snapshot', 'snapshot'],
    ['snapshot_only', 'snapshot'],
  ])('knows replication_type %s as %s', (written, known) => {
    const [definition] = parse(
      SPEC_PIPELINE.replace(/ {4}replication_type.*\n/, '').replace('    source:', `    replication_type: ${written}\n    source:`),
    );
    expect(definition?.replicationType).toBe(known);
  });

  it('lists the replication types for one that never was', () => {
    expect(refused('    source:', '    replication_type: cdc_backfil\n    source:')[0]).toContain(
      '"cdc_backfil" is not known; known are cdc_backfill, cdc, cdc_only, snapshot, snapshot_only, query; did you mean cdc_backfill?',
    );
  });

  it('is told everything at once, in the order of the file, whatever its shape', () => {
    const text = (CONNECTIONS + SPEC_PIPELINE)
      .replace('type: postgres', 'type: postgre')
      .replace('public.orders', 'orders')
      .replace('concurrency', 'concurency')
      .replace('target_rows_per_partition: 100000', 'target_rows_per_partition: many');
    const found = problems(text);
    expect(found).toHaveLength(4);
    const lines = found.map((line) => Number(line.split(':')[1]));
    expect(lines).toEqual([...lines].sort((a, b) => a - b));
  });

  it('names duplicates and two writers of one table', () => {
    const second = SPEC_PIPELINE.replace('pipelines:\n', '');
    expect(problems(CONNECTIONS + SPEC_PIPELINE + second)[0]).toContain('"orders-pipeline" is already the name of pipelines[0]');
    expect(problems(CONNECTIONS + SPEC_PIPELINE + second.replace('orders-pipeline', 'other'))).toEqual([
      'p.yaml:22: pipelines[1].source.tables[0] "public.orders" is already written to warehouse by orders-pipeline; leave it to one of them',
    ]);
    // By another name of the same file, and by another spelling of the same name there.
    const twin = CONNECTIONS.slice(CONNECTIONS.indexOf('  - name: warehouse')).replace('name: warehouse', 'name: twin');
    const other = second.replace('orders-pipeline', 'other').replace('connection: warehouse', 'connection: twin');
    expect(problems(CONNECTIONS + twin + SPEC_PIPELINE + other)).toEqual([
      expect.stringContaining('is already written to twin by orders-pipeline'),
    ]);
    const shouted = SPEC_PIPELINE.replace(/tables: \[(.*?)\]/, 'tables: [$1, public.Orders]');
    expect(problems(CONNECTIONS + shouted)).toEqual([
      expect.stringMatching(/"public\.Orders" and "public\.orders" have one name in DuckDB, which ignores case; leave one out/),
    ]);
  });

  it.each([
    ['', 'is empty'],
    ['a: [', 'is not valid YAML'],
    ['- x', 'must be a section'],
    ['connections: []\npipelines: []', 'pipelines has no pipeline'],
    ['pipelines:\n  - \n', 'must be a section'],
    ['connections: 1\npipelines: {}', 'must be a list'],
  ])('is refused when it is %j', (text, problem) => {
    expect(problems(text).join('\n')).toContain(problem);
  });
});
