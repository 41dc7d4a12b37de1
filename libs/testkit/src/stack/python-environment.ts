import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce } from './cache.ts';
import { runTool } from './tool.ts';

/** What to do where there is no Python to run a test's helper with. */
export const PYTHON_CURE = 'install Python 3.11 or newer with venv (Debian: apt-get install python3-venv).';

/** Pinned packages want Python 3.11. */
const OLDEST_MINOR = 11;

/** The python of a cached virtual environment that holds exactly the packages which a requirements file pins. */
export async function pythonEnvironment(name: string, requirements: string, log?: (line: string) => void): Promise<string> {
  const pins = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 8);
  const home = await installOnce(`${name}-${pins}`, async (folder) => {
    log?.(`downloading the Python packages of ${name}`);
    await makePythonEnvironment(join(folder, 'venv'), requirements);
  });
  return join(home, 'venv/bin/python');
}

/**
 * Makes a virtual environment. Scripts in it name this folder: when it is renamed later, only its python can be used. With `hashes` the
 * requirements say what every file must hash to, and nothing is built from source.
 */
export async function makePythonEnvironment(folder: string, requirements: string, hashes?: 'hashes'): Promise<void> {
  const version = /Python (\d+)\.(\d+)/.exec(await runTool('python3', { args: ['--version'], cure: PYTHON_CURE }));
  const [major = 0, minor = 0] = version?.slice(1).map(Number) ?? [];
  if (major < 3 || (major === 3 && minor < OLDEST_MINOR)) throw new Error(`python3 is version ${major}.${minor}: ${PYTHON_CURE}`);
  try {
    await runTool('python3', { args: ['-m', 'venv', folder], cure: PYTHON_CURE });
  } catch (cause) {
    if (/ensurepip|No module named venv/.test((cause as Error).message))
      throw new Error(`This Python makes no virtual environments: ${PYTHON_CURE}`, { cause });
    throw cause;
  }
  const strict = hashes === undefined ? [] : ['--require-hashes', '--only-binary', ':all:'];
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', ...strict, '-r', requirements];
  await runTool(join(folder, 'bin/python'), { args: install, cure: PYTHON_CURE });
}
