import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { boundYoungGeneration, createRedactor, processEnvironment, randomIds, systemClock } from '@nanosync/runtime';
import { realAdapters } from './adapters.ts';
import { runCli } from './cli.ts';
import type { CliContext } from './context.ts';
import { EXIT_FAILED } from './context.ts';
import { isScreen, openTerminal } from './monitor/process-terminal.ts';
import { reportError } from './report.ts';

/** The composition root: makes what stands behind the ports, runs the command line and ends the process with its status. */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<void> {
  const clock = systemClock();
  const ids = randomIds();
  const env = processEnvironment();
  const outputGone = new AbortController();
  const context: CliContext = {
    adapters: realAdapters(clock, ids),
    clock,
    ids,
    env,
    redactor: createRedactor(),
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    outputGone: outputGone.signal,
    pid: process.pid,
    isTerminal: process.stdout.isTTY === true,
    ...(process.stdin.isTTY && process.stdout.isTTY ? { confirm: ask } : {}),
    ...(isScreen(env.TERM) ? { terminal: openTerminal } : {}),
    version: version(),
    boundMemory: boundYoungGeneration,
    exitNow: (status) => process.exit(status),
  };
  guardProcess(context, args.includes('--debug'));
  process.stdout.on('error', () => outputGone.abort());
  const status = await runCli(context, args);
  // Not by process.exitCode alone: a driver's idle handle must not keep a finished command alive.
  process.stdout.write('', () => process.exit(status));
}

/** A question on the terminal, to which only `y` and `yes` are yes. */
async function ask(question: string): Promise<boolean> {
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^y(?:es)?$/i.test((await lines.question(`${question} [y/N] `)).trim());
  } finally {
    lines.close();
  }
}

/** An error that nobody caught ends the process: going on would mean not knowing what was done. */
function guardProcess(context: CliContext, debug: boolean): void {
  const die = (error: unknown) => {
    reportError(context, error, { debug });
    process.exit(EXIT_FAILED);
  };
  process.on('uncaughtException', die);
  process.on('unhandledRejection', die);
  // A reader that went away (a pager, head) is no reason to stop serving.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}
