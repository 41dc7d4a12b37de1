import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installOnce } from './cache.ts';
import { runTool } from './tool.ts';

/** The version of bqemulator that tests run on. */
export const BIGQUERY_EMULATOR_VERSION = '1.4.0';
const REQUIREMENTS = fileURLToPath(new URL('bigquery-requirements.txt', import.meta.url));
/** The same with hashes: pip takes no file that has another. */
const LOCKED = fileURLToPath(new URL('bigquery-requirements.lock.txt', import.meta.url));
const INSTALL = [
  '-m',
  'pip',
  'install',
  '--quiet',
  '--disable-pip-version-check',
  '--require-hashes',
  '--only-binary',
  ':all:',
  '-r',
  LOCKED,
];
const CURE = 'install Python 3.11 or newer with venv (Debian: apt-get install python3-venv).';
/** DuckDB would download these when it is started; they come as packages, and are unpacked into a home folder of the emulator's own. */
const EXTENSIONS = "import duckdb_extensions as d; d.import_extension('spatial'); d.import_extension('avro')";

/** An emulator that can be run. */
export interface EmulatorBinary {
  readonly python: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Installs the emulator once: a virtual environment with every package pinned, and DuckDB's extensions. */
export async function installEmulator(log?: (line: string) => void): Promise<EmulatorBinary> {
  const pins = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 8);
  const home = await installOnce(`bqemulator-${BIGQUERY_EMULATOR_VERSION}-${pins}`, async (folder) => {
    log?.(`downloading the BigQuery emulator ${BIGQUERY_EMULATOR_VERSION} (590 MB on disk, half a minute)`);
    await makeEnvironment(join(folder, 'venv'));
    const { python, env } = binaryIn(folder);
    mkdirSync(env.HOME as string);
    await runTool(python, { args: INSTALL, cure: CURE });
    await runTool(python, { args: ['-c', EXTENSIONS], env, cure: CURE });
  });
  return binaryIn(home);
}

/** Scripts in an environment name the folder it was made in, which is renamed: only its python is used. */
function binaryIn(folder: string): EmulatorBinary {
  return { python: join(folder, 'venv/bin/python'), env: { HOME: join(folder, 'home') } };
}

async function makeEnvironment(folder: string): Promise<void> {
  const version =
    /Python (\d+)\.(\d+)/
      .exec(await runTool('python3', { args: ['--version'], cure: CURE }))
      ?.slice(1)
      .map(Number) ?? [];
  if (!isNewEnough(version)) throw new Error(`python3 is version ${version.join('.')}: ${CURE}`);
  try {
    await runTool('python3', { args: ['-m', 'venv', folder], cure: CURE });
  } catch (cause) {
    if (/ensurepip|No module named venv/.test((cause as Error).message))
      throw new Error(`This Python makes no virtual environments: ${CURE}`, { cause });
    throw cause;
  }
}

/** The pinned numpy wants 3.11. */
function isNewEnough([major = 0, minor = 0]: readonly number[]): boolean {
  return major > 3 || (major === 3 && minor >= 11);
}
