import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DemoFailure } from './demo-context.ts';
import { lastWords } from './deployment.ts';
import { type PipelineProcess, startNanosync } from './pipeline-process.ts';

/** Where a cluster's processes run, and by which server file. */
export interface FleetOptions {
  readonly directory: string;
  readonly config: string;
  readonly format: 'human' | 'json';
}

/** The running processes of a cluster, one service each. */
export class Fleet implements AsyncDisposable {
  readonly #options: FleetOptions;
  readonly #running = new Map<string, PipelineProcess>();
  #disposed = false;

  constructor(options: FleetOptions) {
    this.#options = options;
    mkdirSync(this.#logs, { recursive: true });
  }

  get running(): readonly { readonly name: string; readonly process: PipelineProcess }[] {
    return [...this.#running].map(([name, process]) => ({ name, process }));
  }

  /** Starts a service under a name of its own; one that ended under this name is forgotten. */
  start(name: string, service: string, onLine: (line: string) => void = () => undefined, env: Readonly<Record<string, string>> = {}): void {
    this.#running.set(name, this.#spawn(name, ['service', service, '--log-format', this.#options.format], onLine, env));
  }

  /** Runs a command that ends by itself; throws its last lines when it does not end well. */
  async toEnd(args: readonly string[], onLine: (line: string) => void = () => undefined): Promise<void> {
    const command = this.#spawn(`nanosync ${args[0]}`, args, onLine);
    const end = await command.ended;
    if (!end.endsWith('status 0.')) throw new DemoFailure([end, ...command.tail(15)].join('\n'));
  }

  /** Most memory of a process so far, in MB. */
  peakMb(name: string): number {
    return this.#running.get(name)?.peakMb() ?? 0;
  }

  async kill(name: string): Promise<void> {
    await this.#running.get(name)?.kill();
  }

  /** What ended that should run, in a sentence with the last lines of its log; null when all run. */
  broken(): string | null {
    return this.running.map(({ process }) => lastWords(process)).find((words) => words !== null) ?? null;
  }

  /** The last lines of every process. */
  tail(): readonly string[] {
    return this.running.flatMap(({ name, process }) => [`${name}:`, ...process.tail(4).map((line) => `  ${line}`)]);
  }

  /** Ctrl-C for all; throws when one does not end well. */
  async finish(): Promise<void> {
    const ends = this.running.map(async ({ name, process }) => ({ name, process, status: await process.interrupt() }));
    const bad = (await Promise.all(ends)).find(({ status }) => status !== 0);
    if (bad !== undefined)
      throw new DemoFailure([`${bad.name} ended with status ${bad.status} after Ctrl-C.`, ...bad.process.tail(15)].join('\n'));
    this.#running.clear();
  }

  /** kill -9 for all. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    await Promise.all(this.running.map(({ process }) => process.kill()));
  }

  get #logs(): string {
    return join(this.#options.directory, 'logs');
  }

  #spawn(
    name: string,
    args: readonly string[],
    onLine: (line: string) => void,
    env: Readonly<Record<string, string>> = {},
  ): PipelineProcess {
    if (this.#disposed) throw new DemoFailure(`${name} is not started any more: the demo is ending.`);
    const { directory, config } = this.#options;
    const logFile = join(this.#logs, `${name.replaceAll(' ', '-')}.log`);
    return startNanosync({ name, args: [...args, '--config', config], directory, logFile, env, onLine });
  }
}
