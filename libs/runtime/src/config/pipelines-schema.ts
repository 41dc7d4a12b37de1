import { z } from 'zod';
import { FILE_VERSION_KEY } from './yaml-file.ts';

/** The replication types a file may name, each with the word that core knows it by. */
export const REPLICATION_NAMES = {
  cdc_backfill: 'cdc_backfill',
  cdc: 'cdc',
  cdc_only: 'cdc',
  snapshot: 'snapshot',
  snapshot_only: 'snapshot',
  query: 'query',
} as const;

/** What a type of connection can be used for, which properties it takes, and whether it exists already. */
export interface ConnectionType {
  readonly role: 'source' | 'sink';
  readonly ready: boolean;
  readonly properties: readonly string[];
  /** Those without which nothing can be opened. */
  readonly needed: readonly string[];
  /** True where there is no connection string for it. */
  readonly propertiesOnly?: boolean;
}

/** Properties of a source that are about TLS, by libpq's names. */
export const TLS_PROPERTIES = ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'sslpassword'] as const;

/** The types of connections. */
export const CONNECTION_TYPES: Readonly<Record<string, ConnectionType>> = {
  postgres: {
    role: 'source',
    ready: true,
    properties: ['host', 'port', 'user', 'password', 'database', ...TLS_PROPERTIES],
    needed: ['host'],
  },
  sqlserver: { role: 'source', ready: false, properties: [], needed: [] },
  duckdb: { role: 'sink', ready: true, properties: ['path', 'memory_limit', 'threads'], needed: ['path'] },
  bigquery: {
    role: 'sink',
    ready: true,
    properties: ['project', 'dataset', 'location', 'key_file', 'credentials', 'endpoint', 'flush_interval'],
    needed: ['project', 'dataset'],
    propertiesOnly: true,
  },
};

/** What says that two sink connections lead to one place: a file, or a dataset. */
export function sinkPlace(connection: {
  readonly name?: string | undefined;
  readonly type?: string | undefined;
  readonly dsn?: string | null | undefined;
  readonly properties?: Readonly<Record<string, unknown>> | undefined;
}): string {
  const { name, type, dsn, properties = {} } = connection;
  if (type === 'bigquery') return JSON.stringify([properties.endpoint ?? null, properties.project, properties.dataset].map(String));
  return String(dsn ?? properties.path ?? name);
}

const name = z.string();
const count = z.int().min(1, 'must be at least 1');

/** The shape of a pipelines file. What shape alone cannot say is checked after it. */
export const PIPELINES_FILE = z.strictObject({
  version: FILE_VERSION_KEY.describe('Version of this file; 1.'),
  connections: z
    .array(
      z.strictObject({
        name: name.describe('What pipelines call this connection.'),
        type: z.string().describe('postgres (a source), duckdb or bigquery (sinks).'),
        dsn: z.string().optional().describe('Connection string; ${env:NAME} and ${secret:NAME} are filled in when it is opened.'),
        properties: z
          .record(z.string(), z.union([z.string(), z.number(), z.boolean()]))
          .optional()
          .describe('The same as separate values, instead of dsn.'),
        hash_key: z.string().optional().describe('Of a source: with what columns are hashed; a reference such as ${secret:NAME}.'),
      }),
    )
    .describe('The databases and warehouses.'),
  pipelines: z
    .array(
      z.strictObject({
        name: name.describe('Lower-case letters, digits, _ and -; at most 40.'),
        replication_type: z
          .enum(Object.keys(REPLICATION_NAMES) as (keyof typeof REPLICATION_NAMES)[])
          .optional()
          .describe(
            'How to replicate; default cdc_backfill: copy the rows, then follow every change. snapshot: copy the rows as of one moment, once.',
          ),
        source: z.strictObject({
          connection: name.describe('Name of a source connection.'),
          tables: z.array(z.string()).optional().describe('Tables as schema.table.'),
          query: z.string().optional().describe('Of replication_type query: one statement that only reads; its result is the table.'),
          columns: z
            .record(
              z.string(),
              z.strictObject({
                exclude: z.array(z.string()).optional().describe('Columns that do not leave the source.'),
                hash: z.array(z.string()).optional().describe('Columns whose values leave it as SHA-256 hashes.'),
              }),
            )
            .optional()
            .describe('By table: columns whose values must not leave the source as they are.'),
        }),
        sink: z.strictObject({
          connection: name.describe('Name of a sink connection.'),
          table: z.string().optional().describe('Of replication_type query: the table of the result, as schema.table.'),
        }),
        key: z
          .array(z.string())
          .optional()
          .describe(
            'Of replication_type query: columns by which the result is written over the rows there; without it it replaces them all.',
          ),
        every: z.string().optional().describe('Of replication_type query: so long after each start it runs again, such as 15m.'),
        schedule: z.string().optional().describe('Of replication_type query: when it runs, as a cron expression such as "0 * * * *".'),
        time_zone: z.string().optional().describe('Of schedule: whose clocks it means, such as Europe/Berlin; default UTC.'),
        timeout: z.string().optional().describe('Of replication_type query: the source gives the query up after this time; default 1h.'),
        snapshot: z
          .strictObject({
            concurrency: count.optional().describe('Partitions in flight at once; default max(4, CPUs).'),
            target_rows_per_partition: count.optional().describe('Rows a partition should have; default 100000.'),
            max_rows_per_second: z
              .int()
              .min(1000, 'must be at least 1000')
              .optional()
              .describe('Rows each worker process reads a second at most, to spare the source; default no limit.'),
          })
          .optional(),
      }),
    )
    .describe('What is replicated from where to where.'),
});

/** A pipelines file as written. */
export type PipelinesFileData = z.output<typeof PIPELINES_FILE>;

/** The JSON Schema of a pipelines file, for editors. */
export function pipelinesJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(PIPELINES_FILE, { io: 'input' }) as unknown as { properties: { connections: { items: JsonObject } } };
  const { items } = schema.properties.connections;
  // What the checks of this file say of types and their properties, in the form that an editor knows.
  items.properties.type = { ...items.properties.type, enum: readyTypes().map(([type]) => type) };
  items.allOf = readyTypes().map(([type, { properties, needed }]) => ({
    if: { properties: { type: { const: type } } },
    // biome-ignore lint/suspicious/noThenProperty: JSON Schema's word.
    then: { properties: { properties: { propertyNames: { enum: properties }, required: needed } } },
  }));
  return schema;
}

interface JsonObject {
  properties: Record<string, object>;
  allOf?: readonly object[];
}

function readyTypes(): readonly (readonly [string, ConnectionType])[] {
  return Object.entries(CONNECTION_TYPES).filter(([, { ready }]) => ready);
}
