import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const DAY_MS = 24 * 3600 * 1000;
const running = new Map<string, Promise<string>>();

/** Where downloaded services are kept between runs: `NANOSYNC_CACHE`, or `~/.cache/nanosync`. */
export function cacheFolder(): string {
  return process.env.NANOSYNC_CACHE || join(homedir(), '.cache', 'nanosync');
}

/**
 * The cached folder `name`, which carries the version; `build` fills it when it is not there. It is built beside its place and
 * renamed, so a broken installation never counts, and of two processes that install at once the first one's result stays.
 */
export function installOnce(name: string, build: (folder: string) => Promise<void>): Promise<string> {
  const home = join(cacheFolder(), name);
  const known = running.get(home);
  if (known !== undefined) return known;
  const installing = install(home, build).finally(() => running.delete(home));
  running.set(home, installing);
  return installing;
}

async function install(home: string, build: (folder: string) => Promise<void>): Promise<string> {
  if (existsSync(home)) return home;
  mkdirSync(cacheFolder(), { recursive: true });
  removeAbandoned();
  const partial = `${home}.partial-${randomUUID()}`;
  try {
    mkdirSync(partial);
    await build(partial);
    renameSync(partial, home);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    if (!existsSync(home)) throw error;
  }
  return home;
}

/** A killed installation leaves its partial folder; one of yesterday is nobody's any more. */
function removeAbandoned(): void {
  for (const name of readdirSync(cacheFolder()).filter((each) => each.includes('.partial-'))) {
    const path = join(cacheFolder(), name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > DAY_MS) rmSync(path, { recursive: true, force: true });
  }
}
