import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { PipelineError } from '@nanosync/core';

/** The version of the files' layout. A newer one is refused, an older one would be upgraded here. */
const FORMAT_VERSION = 1;
const FORMAT_FILE = 'format';
const FORMAT_LINE = /^nanosync bus (\d+)\n$/;

/** Where the parts of a bus are in its directory. */
export interface BusPaths {
  readonly index: string;
  readonly segments: string;
}

/** Makes a directory the bus's own, or checks that it is one of this version; returns the path of its index and of its segments. */
export function openDirectory(directory: string): BusPaths {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const paths = pathsOf(directory);
  if (!existsSync(join(directory, FORMAT_FILE))) {
    if (existsSync(paths.index)) throw foreign(directory);
    writeDurably(directory, FORMAT_FILE, `nanosync bus ${FORMAT_VERSION}\n`);
  }
  checkVersion(directory);
  mkdirSync(paths.segments, { recursive: true, mode: 0o700 });
  for (const file of [paths.index, `${paths.index}-lock`]) closeSync(openSync(file, 'a', 0o600));
  syncDirectory(directory);
  return paths;
}

function pathsOf(directory: string): BusPaths {
  return { index: join(directory, 'index.mdb'), segments: join(directory, 'segments') };
}

function checkVersion(directory: string): void {
  const version = FORMAT_LINE.exec(readFileSync(join(directory, FORMAT_FILE), 'utf8'))?.[1];
  if (version === undefined) throw foreign(directory);
  if (Number(version) > FORMAT_VERSION) {
    throw new PipelineError('newer-version', `The bus in ${directory} was written by a newer nanosync (format ${version}).`, {
      hint: `Run that version, or give this one (format ${FORMAT_VERSION}) an empty directory.`,
    });
  }
}

/** Makes new and removed names of a directory durable: a synced file whose name is lost is lost. */
export function syncDirectory(directory: string): void {
  const handle = openSync(directory, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Numbers of the segment files that are there. */
export function segmentFiles(directory: string): readonly number[] {
  return readdirSync(directory).flatMap((name) => (/^\d{10}\.log$/.test(name) ? [Number(name.slice(0, 10))] : []));
}

/** The file of a segment. */
export function segmentPath(directory: string, segment: number): string {
  return join(directory, `${String(segment).padStart(10, '0')}.log`);
}

function writeDurably(directory: string, name: string, text: string): void {
  const draft = join(directory, `${name}.${process.pid}`);
  const handle = openSync(draft, 'w', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(draft, join(directory, name));
  syncDirectory(directory);
}

function foreign(directory: string): PipelineError {
  return new PipelineError('prerequisite', `${directory} holds files that are not a nanosync bus.`, {
    hint: 'Give the bus an empty directory.',
  });
}
