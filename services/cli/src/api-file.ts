import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DataDirectory } from './data-directory.ts';

/** What the server of a data directory says for commands on the same directory. Nobody but its user may read it. */
export interface ApiFile {
  readonly url: string;
  readonly token: string | null;
  readonly pid: number;
}

/** Writes it until disposed. Only the holder of the directory's lock may. */
export function writeApiFile(directory: DataDirectory, file: ApiFile): Disposable {
  const path = pathOf(directory);
  rmSync(`${path}.new`, { force: true }); // One that another left may be open to others, and would stay so.
  writeFileSync(`${path}.new`, `${JSON.stringify(file)}\n`, { mode: 0o600, flag: 'wx' });
  renameSync(`${path}.new`, path);
  return { [Symbol.dispose]: () => rmSync(path, { force: true }) };
}

/** What the last server said, or undefined where there is none; it may have died since. */
export function readApiFile(directory: DataDirectory): ApiFile | undefined {
  try {
    return JSON.parse(readFileSync(pathOf(directory), 'utf8')) as ApiFile;
  } catch {
    return undefined;
  }
}

function pathOf({ root }: DataDirectory): string {
  return join(root, 'api.json');
}
