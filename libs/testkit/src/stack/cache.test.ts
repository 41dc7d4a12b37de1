import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { installOnce } from './cache.ts';

let cache: string;

beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'nanosync-cache-'));
  vi.stubEnv('NANOSYNC_CACHE', cache);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true });
});

test('an installation is done once, also when two ask at the same time', async () => {
  let builds = 0;
  const build = async (folder: string) => {
    builds++;
    writeFileSync(join(folder, 'file'), 'x');
  };
  const homes = await Promise.all([installOnce('a-1', build), installOnce('a-1', build)]);
  expect(homes).toEqual([join(cache, 'a-1'), join(cache, 'a-1')]);
  await installOnce('a-1', build);
  expect(builds).toBe(1);
});

test('of two processes that install at once the first one stays, and nothing is left of the second', async () => {
  const home = await installOnce('a-1', async (folder) => {
    writeFileSync(join(folder, 'file'), 'mine');
    mkdirSync(join(cache, 'a-1'));
    writeFileSync(join(cache, 'a-1/file'), 'theirs');
  });
  expect(readFileSync(join(home, 'file'), 'utf8')).toBe('theirs');
  expect(readdirSync(cache)).toEqual(['a-1']);
});

test('a broken installation does not count and is done again', async () => {
  const broken = installOnce('a-1', async (folder) => {
    writeFileSync(join(folder, 'half'), '');
    throw new Error('no network');
  });
  await expect(broken).rejects.toThrow('no network');
  expect(readdirSync(cache)).toEqual([]);
  expect(readdirSync(await installOnce('a-1', async (folder) => writeFileSync(join(folder, 'whole'), '')))).toEqual(['whole']);
});

test('an installation that was killed leaves nothing that counts, and goes on another day', async () => {
  const script = `import { installOnce } from ${JSON.stringify(fileURLToPath(new URL('cache.ts', import.meta.url)))};
    await installOnce('a-1', async () => { console.log('begun'); await new Promise((resolve) => setTimeout(resolve, 60_000)); });`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
    env: { ...process.env, NANOSYNC_CACHE: cache },
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  child.kill('SIGKILL');
  await new Promise((resolve) => child.once('close', resolve));
  const [left = ''] = readdirSync(cache);
  expect(left).toMatch(/^a-1\.partial-/);
  await installOnce('a-1', async (folder) => writeFileSync(join(folder, 'whole'), ''));
  // It could be somebody's who is still at it.
  expect(existsSync(join(cache, left))).toBe(true);
  utimesSync(join(cache, left), new Date(0), new Date(0));
  await installOnce('b-1', async () => {});
  expect(readdirSync(cache).sort()).toEqual(['a-1', 'b-1']);
});
