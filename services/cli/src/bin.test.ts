import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';

const BIN = fileURLToPath(new URL('../bin/nanosync.js', import.meta.url));
const NODE_PACKAGE = fileURLToPath(new URL('../../../node_modules/node', import.meta.url));

/** Stands in for the real main: says who it is and does what its first argument says. */
const MAIN = `
export async function main(): Promise<void> {
  const [what, value] = process.argv.slice(2);
  let signals = 0;
  const beat = what === 'wait' ? setInterval(() => {}, 1000) : undefined;
  if (what === 'wait') process.on('SIGINT', () => { signals++; setTimeout(() => { process.stdout.write('signals=' + signals + '\\n'); clearInterval(beat); process.exit(7); }, 100); });
  const { pid, versions, env } = process;
  process.stdout.write(JSON.stringify({ node: versions.node, pid, args: process.argv.slice(2), env: env.NANOSYNC_HANDED_OVER ?? null }) + '\\n');
  if (what === 'exit') process.exit(Number(value));
  if (what === 'die') process.kill(process.pid, value);
}
`;

/** A Node of the system that is older than needed, if it has one; npm puts ours first into PATH. */
function olderNode(): string | undefined {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter((entry) => !entry.includes('node_modules'))) {
    const candidate = join(folder, 'node');
    if (!existsSync(candidate)) continue;
    const version = spawnSync(candidate, ['--version'], { encoding: 'utf8' }).stdout;
    if (Number(/^v(\d+)/.exec(version)?.[1] ?? 99) < 24) return candidate;
  }
  return undefined;
}

let root: string;
let bin: string;
const children: ChildProcess[] = [];
const older = olderNode();

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'nanosync-bin-'));
  for (const folder of ['services/cli/src', 'services/cli/bin', 'node_modules/.bin']) mkdirSync(join(root, folder), { recursive: true });
  writeFileSync(join(root, 'services/cli/package.json'), '{"type":"module"}');
  writeFileSync(join(root, 'services/cli/src/main.ts'), MAIN);
  cpSync(BIN, join(root, 'services/cli/bin/nanosync.js'));
  symlinkSync(NODE_PACKAGE, join(root, 'node_modules/node'));
  bin = join(root, 'node_modules/.bin/nanosync');
  symlinkSync('../../services/cli/bin/nanosync.js', bin);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => rmSync(root, { recursive: true }));

interface Hello {
  readonly node: string;
  readonly pid: number;
  readonly args: readonly string[];
  readonly env: string | null;
}

function runToEnd(node: string, ...args: string[]) {
  const { stdout, status, signal } = spawnSync(node, [bin, ...args], { cwd: '/', encoding: 'utf8' });
  return { hello: JSON.parse(stdout.split('\n')[0] ?? '') as Hello, status, signal };
}

/** Starts `wait` and returns once main has said hello. */
async function running(node: string) {
  const child = spawn(node, [bin, 'wait'], { cwd: '/', stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  const ended = new Promise<{ status: number | null; output: string }>((resolve) =>
    child.on('close', (status) => resolve({ status, output })),
  );
  const hello = await new Promise<Hello>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes('\n')) resolve(JSON.parse(output.split('\n')[0] as string) as Hello);
    });
  });
  return { child, hello, ended };
}

describe.each([
  ['the Node it needs', process.execPath],
  ['an older Node', older],
])('the bin under %s', (_name, node) => {
  const itRuns = it.runIf(node !== undefined);

  itRuns('runs main on Node 24 from any folder, through the link, with all arguments', () => {
    const { hello, status } = runToEnd(node as string, 'a b', '--c', '');
    expect(Number(hello.node.split('.')[0])).toBeGreaterThanOrEqual(24);
    expect(hello.args).toEqual(['a b', '--c', '']);
    expect(hello.env).toBeNull();
    expect(status).toBe(0);
  });

  itRuns('passes on the exit status, and the signal that ended it', () => {
    expect(runToEnd(node as string, 'exit', '2').status).toBe(2);
    expect(runToEnd(node as string, 'die', 'SIGKILL').signal).toBe('SIGKILL');
    expect(runToEnd(node as string, 'die', 'SIGTERM').signal).toBe('SIGTERM');
  });

  itRuns('passes on a signal once', async () => {
    const { child, ended } = await running(node as string);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ status: 7, output: expect.stringContaining('signals=1') });
  });
});

describe.runIf(older !== undefined)('an older Node that is killed', () => {
  it('takes main with it', async () => {
    const { child, hello, ended } = await running(older as string);
    expect(hello.pid).not.toBe(child.pid);
    child.kill('SIGKILL');
    await ended;
    await vi.waitFor(() => expect(isAlive(hello.pid)).toBe(false));
  });

  it('gets one signal from a terminal, which signals the whole group', async () => {
    const group = spawn(older as string, [bin, 'wait'], { cwd: '/', detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(group);
    let output = '';
    const ended = new Promise<void>((resolve) => group.on('close', () => resolve()));
    await new Promise<void>((resolve) => {
      group.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('\n')) resolve();
      });
    });
    process.kill(-(group.pid as number), 'SIGINT');
    await ended;
    expect(output).toContain('signals=1');
  });
});

/** A process that ended and was not waited for yet by its new parent is as good as gone. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
    return !/\) Z /.test(stat);
  } catch {
    return false;
  }
}
