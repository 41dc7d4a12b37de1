import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { PipelineError } from '@nanosync/core';

/** The version of the tables below. A newer one is refused, an older one would be upgraded here. */
const FORMAT_VERSION = 1;
/** How long a write waits for another process's; far above what one takes. */
const BUSY_MS = 10_000;

const TABLES = `
  CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE leases (name TEXT PRIMARY KEY, token TEXT NOT NULL, expires_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE counter (last INTEGER NOT NULL) STRICT;
  INSERT INTO counter VALUES (0);
  PRAGMA user_version = ${FORMAT_VERSION};
`;

/** Opens or makes the database file of a state directory. */
export function openDatabase(directory: string): DatabaseSync {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, 'state.db');
  closeSync(openSync(path, 'a', 0o600)); // SQLite gives its journal files the mode of this one.
  const database = new DatabaseSync(path, { timeout: BUSY_MS });
  try {
    inTransaction(database, () => prepare(database, directory));
    const mode = database.prepare('PRAGMA journal_mode = WAL').get()?.journal_mode;
    if (mode !== 'wal') throw new PipelineError('prerequisite', `The state store ${path} cannot keep a write-ahead log (${mode}).`);
    // FULL: in WAL mode a commit is synced only with it.
    database.exec('PRAGMA synchronous = FULL');
    syncDirectory(directory);
    return database;
  } catch (error) {
    database.close();
    throw described(error, path);
  }
}

function prepare(database: DatabaseSync, directory: string): void {
  const version = Number(database.prepare('PRAGMA user_version').get()?.user_version);
  if (version > FORMAT_VERSION) {
    throw new PipelineError('newer-version', `The state in ${directory} was written by a newer nanosync (format ${version}).`, {
      hint: `Run that version, or give this one (format ${FORMAT_VERSION}) an empty directory.`,
    });
  }
  if (version === 0) database.exec(TABLES);
}

/** Runs the action as one transaction under the write lock, all or nothing. */
export function inTransaction<T>(database: DatabaseSync, action: () => T): T {
  database.exec('BEGIN IMMEDIATE');
  try {
    const result = action();
    database.exec('COMMIT');
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

/** A driver's error as one of ours. */
export function described(error: unknown, what: string): unknown {
  if (error instanceof PipelineError || (error as { code?: string }).code !== 'ERR_SQLITE_ERROR') return error;
  const reason = (error as { errstr?: string }).errstr ?? 'error';
  return new PipelineError('unavailable', `The state store ${what} cannot be used: ${reason}.`, {
    hint: 'Look for free space, permissions, and another process that holds it.',
    cause: error,
  });
}

function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
