import { z } from 'zod';
import type { LogFormat } from '../log.ts';
import { deepFreeze } from './freeze.ts';
import { parseDuration, parseSize } from './units.ts';
import { parseYaml, readConfigFile } from './yaml-file.ts';

/** How one embedded server runs: where its data is and what it may use. */
export interface ServerSettings {
  /** Folder of bus and state; one server at a time owns it. */
  readonly dataDirectory: string;
  /** How long messages that are durable at every sink stay on the bus, for a look at them. */
  readonly keepMs: number;
  /** Undefined: human on a terminal, JSON elsewhere. */
  readonly logFormat: LogFormat | undefined;
  /** What the embedded warehouse may hold in memory, in bytes. */
  readonly memoryLimitBytes: number;
  /** Bus partitions of a new topic; pinned for the topic's life. */
  readonly busPartitions: number;
}

/** The settings without a server file. */
export const DEFAULT_SERVER_SETTINGS: ServerSettings = Object.freeze({
  dataDirectory: './nanosync-data',
  keepMs: 24 * 3_600_000,
  logFormat: undefined,
  memoryLimitBytes: 256_000_000,
  busPartitions: 4,
});

const SERVER_FILE = z.strictObject({
  data_directory: z.string().min(1, 'is empty').optional(),
  keep: z.string().optional(),
  log_format: z.enum(['human', 'json']).optional(),
  memory_limit: z.string().optional(),
  bus_partitions: z.int().min(1, 'must be at least 1').max(256, 'must be at most 256').optional(),
});

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
  problems.throwIfAny();
  return deepFreeze({
    dataDirectory: data?.data_directory ?? DEFAULT_SERVER_SETTINGS.dataDirectory,
    keepMs: keepMs as number,
    logFormat: data?.log_format,
    memoryLimitBytes: memory as number,
    busPartitions: data?.bus_partitions ?? DEFAULT_SERVER_SETTINGS.busPartitions,
  });
}
