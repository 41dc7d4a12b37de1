import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { buildHere } from './dockerfile.ts';

/** The workspace. */
export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
/** The image's description. */
export const DOCKERFILE = join(ROOT, 'deploy/Dockerfile');

/** Builds the image's folder in `folder`, readable by everybody, from what an engine would be sent; returns its place. */
export function buildImage(folder: string): string {
  const context = join(folder, 'context');
  for (const name of sentToTheEngine()) cpSync(join(ROOT, name), join(context, name), { verbatimSymlinks: true });
  const image = buildHere(DOCKERFILE, { context, folder });
  // Where root has the workspace to itself, nobody else may run the Node in it.
  copyFileSync(process.execPath, nodeOf(image));
  spawnSync('chmod', ['-R', 'a+rX', folder]);
  return image;
}

/** The Node that runs an image; the base image has one of its own. */
function nodeOf(image: string): string {
  return `${image}-node`;
}

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

/** A process of the image. */
export type ImageProcess = ChildProcessByStdio<null, Readable, Readable>;

/** Runs nanosync as the image would, with nothing but its own files, and without rights when we have them. */
export function asInTheImage(image: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): ImageProcess {
  const owner = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
  const script = join(image, 'services/cli/bin/nanosync.js');
  return spawn(nodeOf(image), [script, ...args], { ...owner, cwd: '/', env: { PATH: '', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Waits for its end. */
export async function outcome(child: ImageProcess): Promise<{ readonly code: number | null; readonly output: string }> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, output }));
  });
}
