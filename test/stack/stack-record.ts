import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServiceName, StackAddresses } from '@nanosync/testkit';
import { isAlive, type RunningProcess } from './running-process.ts';

/** One service that was started. */
export interface RecordedService<Name extends ServiceName = ServiceName> {
  readonly name: Name;
  readonly address: StackAddresses[Name];
  readonly logFile: string;
}

/** What runs, as the keeper wrote it. */
export interface StackRecord {
  /** The process that keeps the services; they end with it. */
  readonly keeper: RunningProcess;
  readonly services: readonly RecordedService[];
}

const fileIn = (directory: string) => join(directory, 'stack.json');

/** Where the keeper's own output is. */
export function keeperLog(directory: string): string {
  return join(directory, 'keeper.log');
}

/** What was written last, or undefined when nothing runs or ran. */
export function readRecord(directory: string): StackRecord | undefined {
  try {
    return JSON.parse(readFileSync(fileIn(directory), 'utf8')) as StackRecord;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Takes the directory for a keeper that begins; false when another one that runs has it. */
export function claimRecord(directory: string, keeper: RunningProcess): boolean {
  mkdirSync(directory, { recursive: true, mode: 0o700 }); // Addresses and passwords are for its owner alone.
  for (;;) {
    try {
      // Of two that come together one makes the file.
      writeFileSync(fileIn(directory), JSON.stringify({ keeper, services: [] } satisfies StackRecord), { flag: 'wx' });
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const known = readRecord(directory);
    if (known !== undefined && isAlive(known.keeper)) return false;
    if (!clearAway(directory, keeper)) return false;
  }
}

/** Takes away what an ended keeper left. Another one may have done so and begun meanwhile: then its record is put back. */
function clearAway(directory: string, { pid }: RunningProcess): boolean {
  const aside = `${fileIn(directory)}.${pid}`;
  try {
    renameSync(fileIn(directory), aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
  const ended = !isAlive((JSON.parse(readFileSync(aside, 'utf8')) as StackRecord).keeper);
  if (ended) rmSync(aside);
  else renameSync(aside, fileIn(directory));
  return ended;
}

/** Written at once or not at all. */
export function writeRecord(directory: string, record: StackRecord): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 }); // Addresses and passwords are for its owner alone.
  writeFileSync(`${fileIn(directory)}.new`, `${JSON.stringify(record, undefined, 2)}\n`);
  renameSync(`${fileIn(directory)}.new`, fileIn(directory));
}

/** Nothing runs any more. */
export function removeRecord(directory: string): void {
  rmSync(fileIn(directory), { force: true });
}
