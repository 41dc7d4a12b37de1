import { resolve } from 'node:path';
import type { Log } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { LogEntry, LogFormat, ServerSettings } from '@nanosync/runtime';
import { createLog, DEFAULT_SERVER_SETTINGS, loadServerSettings, logFormatFor } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';

/** Options that several commands take. */
export interface CommonOptions {
  readonly dataDir?: string;
  /** The server file. */
  readonly config?: string;
  /** Where a server answers commands. */
  readonly api?: string;
  readonly json?: boolean;
  /** Where a serving process says that it is well. */
  readonly healthFile?: string;
  readonly logFormat?: LogFormat;
  readonly debug?: boolean;
}

/** The server file's settings, with what the command line says above them. */
export function serverSettings(options: CommonOptions): ServerSettings {
  const settings = options.config === undefined ? DEFAULT_SERVER_SETTINGS : loadServerSettings(options.config);
  if (settings.cluster !== null && options.dataDir !== undefined)
    throw new PipelineError('config', `--data-dir has no use beside ${options.config}, which names a bus and a state store.`, {
      hint: 'Leave one of them out.',
    });
  return {
    ...settings,
    dataDirectory: resolve(options.dataDir ?? settings.dataDirectory),
    logFormat: options.logFormat ?? settings.logFormat,
  };
}

/** The format of this command's log lines. */
export function formatOf(context: CliContext, options: CommonOptions): LogFormat {
  return logFormatFor(serverSettings(options).logFormat, context.isTerminal);
}

/** The log of a server: everything from `info`, with --debug everything. `also` gets each line as data. */
export function serverLog(context: CliContext, options: CommonOptions, also?: (entry: LogEntry) => void): Log {
  return createLog({
    format: formatOf(context, options),
    level: options.debug ? 'debug' : 'info',
    redact: context.redactor.redact,
    write: (line) => context.out(line.trimEnd()),
    ...(also === undefined ? {} : { also }),
  });
}

/** The log of a command that answers and ends: only warnings, on standard error, so that the answer stands alone. */
export function commandLog(context: CliContext, options: CommonOptions): Log {
  return createLog({
    format: 'human',
    level: options.debug ? 'debug' : 'warn',
    redact: context.redactor.redact,
    write: (line) => context.err(line.trimEnd()),
  });
}
