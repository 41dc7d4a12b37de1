import { z } from 'zod';
import type { LogFormat } from '../log.ts';
import type { ListenAddress } from '../metrics/listener.ts';
import { parseListen } from '../metrics/listener.ts';
import type { ApiSettings } from './api-settings.ts';
import { API_SECTION, apiOf, checkApi, DEFAULT_API_SETTINGS } from './api-settings.ts';
import { BUS_SECTION, checkCluster, STATE_SECTION } from './cluster-schema.ts';
import type { ClusterSettings } from './cluster-settings.ts';
import { clusterOf } from './cluster-settings.ts';
import { deepFreeze } from './freeze.ts';
import { parseDuration, parseSize } from './units.ts';
import { FILE_VERSION_KEY, parseYaml, readConfigFile } from './yaml-file.ts';

/** How a server runs: where bus and state are, and what it may use. */
export interface ServerSettings {
  /** Kafka, schema registry and Redis; null: bus and state are embedded, in `dataDirectory`. */
  readonly cluster: ClusterSettings | null;
  /** Folder of the embedded bus and state; one server at a time owns it. */
  readonly dataDirectory: string;
  /** How long messages that are durable at every sink stay on the bus, for a look at them. */
  readonly keepMs: number;
  /** Undefined: human on a terminal, JSON elsewhere. */
  readonly logFormat: LogFormat | undefined;
  /** What the embedded warehouse may hold in memory, in bytes. */
  readonly memoryLimitBytes: number;
  /** Bus partitions of a new topic; pinned for the topic's life. */
  readonly busPartitions: number;
  /** Bus partitions of the task topic: the most worker processes that can share it; pinned for the topic's life. */
  readonly tasksBusPartitions: number;
  /** Partitions that one snapshot worker reads at once; undefined: as many as suit the way it runs. */
  readonly workerSlots: number | undefined;
  /** Where metrics and probes are served; null: nowhere. */
  readonly metricsListen: ListenAddress | null;
  readonly api: ApiSettings;
}

/** The settings without a server file. */
export const DEFAULT_SERVER_SETTINGS: ServerSettings = Object.freeze({
  cluster: null,
  dataDirectory: './nanosync-data',
  keepMs: 24 * 3_600_000,
  logFormat: undefined,
  memoryLimitBytes: 256_000_000,
  busPartitions: 4,
  tasksBusPartitions: 8,
  workerSlots: undefined,
  metricsListen: null,
  api: DEFAULT_API_SETTINGS,
});

const partitions = z.int().min(1, 'must be at least 1').max(256, 'must be at most 256').optional();

const SERVER_FILE = z.strictObject({
  version: FILE_VERSION_KEY,
  bus: BUS_SECTION.optional(),
  state: STATE_SECTION.optional(),
  data_directory: z.string().min(1, 'is empty').optional(),
  keep: z.string().optional(),
  log_format: z.enum(['human', 'json']).optional(),
  memory_limit: z.string().optional(),
  bus_partitions: partitions,
  tasks_bus_partitions: partitions,
  worker: z.strictObject({ slots: partitions }).optional(),
  metrics: z.strictObject({ listen: z.string() }).optional(),
  api: API_SECTION.optional(),
});

/** The JSON Schema of a server file, for editors. */
export function serverJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(SERVER_FILE, { io: 'input' }) as Record<string, unknown>;
}

/** Reads a server file; what it leaves out is as in {@link DEFAULT_SERVER_SETTINGS}. */
export function loadServerSettings(file: string): ServerSettings {
  return parseServerSettings(readConfigFile(file), file);
}

/** Parses the text of a server file: checked and frozen. Throws PipelineError `config` that lists everything that is wrong. */
export function parseServerSettings(text: string, file: string): ServerSettings {
  const { data, problems } = parseYaml(text, file, SERVER_FILE);
  const keepMs = data?.keep === undefined ? DEFAULT_SERVER_SETTINGS.keepMs : parseDuration(data.keep);
  if (keepMs === undefined) problems.add(['keep'], `${JSON.stringify(data?.keep)} is no duration; write it like 90s, 15m, 24h or 7d`);
  const memory = data?.memory_limit === undefined ? DEFAULT_SERVER_SETTINGS.memoryLimitBytes : parseSize(data.memory_limit);
  if (memory === undefined) problems.add(['memory_limit'], `${JSON.stringify(data?.memory_limit)} is no size; write it like 512MB or 1GiB`);
  const metricsListen = data?.metrics === undefined ? null : (parseListen(data.metrics.listen) ?? null);
  if (data?.metrics !== undefined && metricsListen === null)
    problems.add(
      ['metrics', 'listen'],
      `${JSON.stringify(data.metrics.listen)} is no address; write it like 127.0.0.1:9464, with port 0 for a free one`,
    );
  if (data !== undefined) checkCluster(data, data.data_directory, problems);
  checkApi(data?.api, problems);
  problems.throwIfAny();
  return deepFreeze({
    cluster: clusterOf(data ?? {}, file),
    dataDirectory: data?.data_directory ?? DEFAULT_SERVER_SETTINGS.dataDirectory,
    keepMs: keepMs as number,
    logFormat: data?.log_format,
    memoryLimitBytes: memory as number,
    busPartitions: data?.bus_partitions ?? DEFAULT_SERVER_SETTINGS.busPartitions,
    tasksBusPartitions: data?.tasks_bus_partitions ?? DEFAULT_SERVER_SETTINGS.tasksBusPartitions,
    workerSlots: data?.worker?.slots,
    metricsListen,
    api: apiOf(data?.api, file),
  });
}
