import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { installOnce } from './cache.ts';
import { runTool } from './tool.ts';

/** The oldest major version that has what we use. */
const LEAST_REDIS = 7;
/** The server is a link to a file of redis-tools; the libraries are those that a small system may lack. */
const PACKAGES = ['redis-server', 'redis-tools', 'libjemalloc2', 'liblzf1', 'libatomic1'];
const CURE = `install Redis ${LEAST_REDIS} or newer so that redis-server is on the PATH (Debian: apt-get update && apt-get install redis-server).`;

/** A Redis server that can be run. */
export interface RedisBinary {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The system's redis-server when it is new enough, else the distribution's package unpacked into the cache, which needs no rights. */
export async function findRedis(log?: (line: string) => void): Promise<RedisBinary> {
  const installed = { command: 'redis-server', env: {} };
  return (await isNewEnough(installed)) ? installed : unpackRedis(log);
}

/** Downloads the distribution's packages and unpacks them into the cache. */
export async function unpackRedis(log?: (line: string) => void): Promise<RedisBinary> {
  // The distribution's release decides the version, so its name stands for it.
  const home = await installOnce(`redis-${release()}-${process.arch}`, async (folder) => {
    log?.('downloading Redis (1.4 MB)');
    await download(folder);
    for (const file of readdirSync(folder).filter((name) => name.endsWith('.deb')))
      await runTool('dpkg', { args: ['-x', join(folder, file), folder], cure: CURE });
    for (const name of readdirSync(folder).filter((each) => each !== 'usr')) rmSync(join(folder, name), { recursive: true });
    if (!(await isNewEnough(binaryIn(folder))))
      throw new Error(`The redis-server of this system's packages does not run or is too old: ${CURE}`);
  });
  return binaryIn(home);
}

function binaryIn(folder: string): RedisBinary {
  const libraries = join(folder, 'usr/lib');
  const folders = readdirSync(libraries, { withFileTypes: true }).filter((entry) => entry.isDirectory() && entry.name.includes('linux'));
  const path = folders.map((entry) => join(libraries, entry.name)).join(':');
  return { command: join(folder, 'usr/bin/redis-server'), env: { LD_LIBRARY_PATH: path } };
}

async function isNewEnough({ command, env }: RedisBinary): Promise<boolean> {
  try {
    const said = await runTool(command, { args: ['--version'], env, cure: CURE });
    return Number(/v=(\d+)\./.exec(said)?.[1]) >= LEAST_REDIS;
  } catch {
    return false;
  }
}

/** With the system's package lists, or, where it has none, with lists of our own: either way without root. */
async function download(folder: string): Promise<void> {
  const fetched = ['download', ...PACKAGES];
  try {
    await runTool('apt-get', { args: fetched, cwd: folder, cure: CURE });
  } catch (error) {
    if ((error as Error).message.includes('not installed')) throw error;
    const own = join(folder, 'apt');
    for (const each of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(own, each), { recursive: true });
    const settings = ['-o', `Dir::State::lists=${join(own, 'lists')}`, '-o', `Dir::Cache=${join(own, 'cache')}`];
    try {
      await runTool('apt-get', { args: [...settings, 'update'], cwd: folder, cure: CURE });
      await runTool('apt-get', { args: [...settings, ...fetched], cwd: folder, cure: CURE });
    } catch (cause) {
      throw new Error(`Redis could not be downloaded: ${CURE}`, { cause });
    }
  }
}

function release(): string {
  const text = readFileSync('/etc/os-release', 'utf8');
  const value = (name: string) => new RegExp(`^${name}="?([\\w.-]+)"?$`, 'm').exec(text)?.[1] ?? 'unknown';
  return `${value('ID')}-${value('VERSION_ID')}`;
}
