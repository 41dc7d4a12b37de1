import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PipelineError } from '@nanosync/core';

/** `status` holds the lock shared for as long as one query takes: so long a starting server waits before it calls it taken. */
const LOOKERS_MS = 250;

/** The folders of an embedded server. */
export interface DataDirectory {
  readonly root: string;
  readonly state: string;
  readonly bus: string;
}

/** The layout under a root; touches nothing. */
export function dataDirectoryOf(root: string): DataDirectory {
  return { root, state: join(root, 'state'), bus: join(root, 'bus') };
}

/** True when a server or `apply` has stored something there. */
export function isInUse(directory: DataDirectory): boolean {
  return existsSync(directory.state);
}

/** Makes the root, for this user alone: what users did not keep out of their files is in it. */
export function makeRoot(directory: DataDirectory): void {
  try {
    mkdirSync(directory.root, { recursive: true, mode: 0o700 });
    accessSync(directory.root, constants.W_OK | constants.X_OK);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
    throw new PipelineError('config', `${directory.root} cannot be used as data directory (${code}).`, {
      hint: 'Name a folder that this user may write with --data-dir.',
      cause: error,
    });
  }
}

/**
 * Makes this process the directory's one server until disposed, or throws PipelineError `config` that names the other one.
 *
 * The operating system holds the lock (SQLite's exclusive one, on a file of its own) and gives it up with the process, however
 * that ends: there is no stale lock to judge and a reused process id means nothing. The file `server` beside it only says who.
 */
export function claimDirectory(directory: DataDirectory): Disposable {
  makeRoot(directory);
  const lock = new DatabaseSync(join(directory.root, 'lock'), { timeout: LOOKERS_MS });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY');
    // Invariant 'one-owner': the operating system holds it for this process.
    lock.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (!/locked|busy/i.test((error as Error).message)) throw error;
    throw taken(directory, error);
  }
  writeFileSync(ownerFile(directory), `${process.pid}\n`);
  return { [Symbol.dispose]: () => lock.close() };
}

/** True while a server has the directory. Asks for a shared lock for a moment; a server that starts right then waits for it. */
export function isServed(directory: DataDirectory): boolean {
  const file = join(directory.root, 'lock');
  if (!existsSync(file)) return false;
  const lock = new DatabaseSync(file, { readOnly: true, timeout: 0 });
  try {
    lock.prepare('SELECT count(*) FROM sqlite_master').get();
    return false;
  } catch (error) {
    if (/locked|busy/i.test((error as Error).message)) return true;
    throw error;
  } finally {
    lock.close();
  }
}

/** The process id of the last server that claimed the directory, for messages. */
function ownerOf(directory: DataDirectory): string {
  try {
    return readFileSync(ownerFile(directory), 'utf8').trim();
  } catch {
    return 'unknown';
  }
}

function ownerFile(directory: DataDirectory): string {
  return join(directory.root, 'server');
}

function taken(directory: DataDirectory, cause: unknown): PipelineError {
  return new PipelineError('config', `${directory.root} is already served by another nanosync (process ${ownerOf(directory)}).`, {
    hint: 'Stop that one first, or give this one a directory of its own with --data-dir.',
    cause,
  });
}
