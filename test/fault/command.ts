import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Scenario } from './scenario.ts';

const NANOSYNC = fileURLToPath(new URL('../../services/cli/bin/nanosync.js', import.meta.url));

/** Runs a command that answers and ends, on the scenario's data folder. */
export function nanosync(
  scenario: Pick<Scenario, 'workplace'>,
  ...args: readonly string[]
): { readonly status: number | null; readonly output: string } {
  const all = [NANOSYNC, ...args, '--data-dir', scenario.workplace.dataDir];
  const { status, stdout, stderr } = spawnSync(process.execPath, all, { cwd: scenario.workplace.directory, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}
