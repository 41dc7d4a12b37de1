/** A connection as written, where anything may be missing or of another type (then undefined): shape is reported elsewhere. */
export interface LooseConnection {
  readonly name: string | undefined;
  readonly type: string | undefined;
  readonly dsn: string | undefined;
  readonly properties: Readonly<Record<string, unknown>> | undefined;
  readonly hashKey: string | undefined;
}

/** The column rules of one table in the same way. */
export interface LooseColumns {
  readonly table: string;
  readonly rules: Readonly<Record<string, readonly (string | undefined)[] | undefined>>;
}

/** A pipeline in the same way. Tables keep their places in the list. */
export interface LoosePipeline {
  readonly name: string | undefined;
  readonly replicationType: string | undefined;
  readonly source: string | undefined;
  readonly tables: readonly (string | undefined)[] | undefined;
  /** By table, as far as it can be read. */
  readonly columns: readonly LooseColumns[];
  readonly sink: string | undefined;
  readonly query: LooseQuery;
}

/** What belongs to a pipeline of type `query`, in the same way; `has`: the key stands there, whatever its value. */
export interface LooseQuery {
  readonly has: Readonly<
    Record<'query' | 'table' | 'tables' | 'columns' | 'key' | 'schedule' | 'every' | 'time_zone' | 'timeout' | 'snapshot', boolean>
  >;
  readonly sourceKeys: readonly string[];
  readonly statement: string | undefined;
  readonly table: string | undefined;
  readonly key: readonly (string | undefined)[] | undefined;
  readonly schedule: string | undefined;
  readonly every: string | undefined;
  readonly timeZone: string | undefined;
  readonly timeout: string | undefined;
}

/** A whole file in the same way. */
export interface LooseFile {
  readonly connections: readonly LooseConnection[];
  readonly pipelines: readonly LoosePipeline[];
  /** The file has a list of pipelines, and nothing is in it. */
  readonly isEmpty: boolean;
}

/** Reads what can be read of a file of any shape, so that one mistake does not hide the next. */
export function looselyRead(raw: unknown): LooseFile {
  const file = section(raw) ?? {};
  const pipelines = list(file.pipelines);
  return {
    connections: (list(file.connections) ?? []).map(connection),
    pipelines: (pipelines ?? []).map(pipeline),
    isEmpty: pipelines?.length === 0,
  };
}

function connection(raw: unknown): LooseConnection {
  const written = section(raw) ?? {};
  const { name, type, dsn, properties, hash_key: hashKey } = written;
  return { name: text(name), type: text(type), dsn: text(dsn), properties: section(properties), hashKey: text(hashKey) };
}

function pipeline(raw: unknown): LoosePipeline {
  const written = section(raw) ?? {};
  const source = section(written.source) ?? {};
  return {
    name: text(written.name),
    replicationType: text(written.replication_type),
    source: text(source.connection),
    tables: list(source.tables)?.map(text),
    columns: Object.entries(section(source.columns) ?? {}).map(columnsOf),
    sink: text(section(written.sink)?.connection),
    query: queryOf(written, source, section(written.sink) ?? {}),
  };
}

type Section = Readonly<Record<string, unknown>>;

function queryOf(pipeline: Section, source: Section, sink: Section): LooseQuery {
  const { key, schedule, every, time_zone: timeZone, timeout } = pipeline;
  const own = (name: string) => pipeline[name] !== undefined;
  return {
    has: {
      ...{ query: source.query !== undefined, table: sink.table !== undefined, tables: source.tables !== undefined },
      ...{ columns: source.columns !== undefined, key: own('key'), schedule: own('schedule'), every: own('every') },
      ...{ time_zone: own('time_zone'), timeout: own('timeout'), snapshot: own('snapshot') },
    },
    sourceKeys: Object.keys(source),
    ...{ statement: text(source.query), table: text(sink.table), key: list(key)?.map(text) },
    ...{ schedule: text(schedule), every: text(every), timeZone: text(timeZone), timeout: text(timeout) },
  };
}

function columnsOf([table, raw]: [string, unknown]): LooseColumns {
  const rules = Object.entries(section(raw) ?? {}).map(([rule, names]) => [rule, list(names)?.map(text)] as const);
  return { table, rules: Object.fromEntries(rules) };
}

function text(raw: unknown): string | undefined {
  return typeof raw === 'string' ? raw : undefined;
}

function list(raw: unknown): readonly unknown[] | undefined {
  return Array.isArray(raw) ? raw : undefined;
}

function section(raw: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw) ? (raw as Record<string, unknown>) : undefined;
}
