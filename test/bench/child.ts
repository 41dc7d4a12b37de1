import { spawn, spawnSync } from 'node:child_process';

/** True when a command can be run. */
export function installed(command: string): boolean {
  return spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0;
}

/** Runs a command to its end, its output thrown away or (`collect`) returned; throws with its error output when it fails. */
export async function run(
  command: string,
  args: readonly string[],
  options: { readonly signal: AbortSignal; readonly collect?: boolean },
): Promise<{ readonly seconds: number; readonly output: string }> {
  const began = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', options.collect === true ? 'pipe' : 'ignore', 'pipe'] });
  const stop = () => child.kill('SIGKILL');
  options.signal.addEventListener('abort', stop, { once: true });
  let output = '';
  let errors = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-2000);
  });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  options.signal.removeEventListener('abort', stop);
  options.signal.throwIfAborted();
  if (status !== 0) throw new Error(`${command} ended with status ${status}: ${errors.trim()}`);
  return { seconds: (performance.now() - began) / 1000, output };
}
