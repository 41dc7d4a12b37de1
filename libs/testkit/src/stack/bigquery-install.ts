import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { installOnce } from './cache.ts';
import { makePythonEnvironment, PYTHON_CURE } from './python-environment.ts';
import { runTool } from './tool.ts';

/** The version of bqemulator that tests run on. */
export const BIGQUERY_EMULATOR_VERSION = '1.4.0';
const REQUIREMENTS = fileURLToPath(new URL('bigquery-requirements.txt', import.meta.url));
/** The same with hashes: pip takes no file that has another. */
const LOCKED = fileURLToPath(new URL('bigquery-requirements.lock.txt', import.meta.url));
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
    await makePythonEnvironment(join(folder, 'venv'), LOCKED, 'hashes');
    const { python, env } = binaryIn(folder);
    mkdirSync(env.HOME as string);
    await runTool(python, { args: ['-c', EXTENSIONS], env, cure: PYTHON_CURE });
  });
  return binaryIn(home);
}

/** Scripts in an environment name the folder it was made in, which is renamed: only its python is used. */
function binaryIn(folder: string): EmulatorBinary {
  return { python: join(folder, 'venv/bin/python'), env: { HOME: join(folder, 'home') } };
}
