import { accessSync, constants, existsSync, readdirSync, realpathSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { PipelineError } from '@nanosync/core';
import { META } from './sql.ts';

/** A path that is the same for the same file, however it was written. */
export function identityOf(path: string): string {
  const absolute = resolve(path);
  if (existsSync(absolute)) return realpathSync(absolute);
  const folder = dirname(absolute);
  return existsSync(folder) ? join(realpathSync(folder), basename(absolute)) : absolute;
}

/** Tells one file from another that has or had its name; undefined when there is none. */
export function fileIdOf(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? undefined : `${found.dev}/${found.ino}`;
}

/** Refuses a path where no DuckDB file can be, with the cure. */
export function checkPlace(path: string): void {
  const absolute = resolve(path);
  const folder = dirname(absolute);
  if (!existsSync(folder))
    throw new PipelineError('prerequisite', `the folder ${folder} of the DuckDB file does not exist.`, {
      hint: `Make it: mkdir -p ${folder}`,
    });
  if (existsSync(absolute) && !statSync(absolute).isFile())
    throw new PipelineError('prerequisite', `${absolute} is not a file.`, {
      hint: 'Give the path of a DuckDB file; it is made when missing.',
    });
  try {
    accessSync(folder, constants.W_OK | constants.X_OK);
    if (existsSync(absolute)) accessSync(absolute, constants.R_OK | constants.W_OK);
  } catch (cause) {
    throw new PipelineError('prerequisite', `${absolute} cannot be written by this user.`, {
      hint: 'Give the user the right to write the file and its folder, or choose another path.',
      cause,
    });
  }
  if (
    basename(absolute)
      .replace(/\.[^.]*$/, '')
      .toLowerCase() === META
  )
    throw new PipelineError('prerequisite', `a DuckDB file named ${basename(absolute)} cannot be told apart from nanosync's own schema.`, {
      hint: 'Choose another file name.',
    });
}

/** Removes what a killed process spilled beside the file; this process has just locked it and spilled nothing yet. */
export function removeSpill(path: string): void {
  const folder = `${path}.tmp`;
  if (!existsSync(folder)) return;
  for (const file of readdirSync(folder)) if (file.startsWith('duckdb_temp_')) rmSync(join(folder, file), { force: true });
}

/** What DuckDB says when it cannot open a file, as what the user can do about it. */
export function openError(path: string, cause: unknown): PipelineError {
  const message = cause instanceof Error ? cause.message : String(cause);
  const holder = /\(PID (\d+)\)/.exec(message)?.[1];
  if (/lock/i.test(message) && /Could not set lock|Conflicting lock/i.test(message))
    return new PipelineError('unavailable', `${path} is open in another process${holder === undefined ? '' : ` (pid ${holder})`}.`, {
      hint: 'DuckDB lets one process at a time open a file: end the other one or close the file there.',
      cause,
    });
  if (/version number/i.test(message))
    return new PipelineError('newer-version', `${path} was written by a newer DuckDB.`, { hint: 'Use the nanosync that wrote it.', cause });
  if (/not a valid DuckDB database|not a DuckDB/i.test(message))
    return new PipelineError('prerequisite', `${path} exists and is not a DuckDB file.`, {
      hint: 'Choose another path or remove the file.',
      cause,
    });
  return new PipelineError('prerequisite', `DuckDB cannot open ${path}: ${message.split('\n')[0]}.`, {
    hint: 'See that the path, memory_limit and threads of the connection are right.',
    cause,
  });
}
