import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Writable } from 'node:stream';

/** What to run. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Added to a small environment of our own. */
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * The shell becomes the service; before that it leaves a guard behind that kills it when our end of the pipe closes without a
 * word. So a service never outlives the process that started it, not even its kill -9.
 */
const GUARD = '( read -r line <&3; [ "$line" = ended ] || kill -KILL $$ ) >/dev/null 2>&1 & exec "$@" 3<&-';

/** How long a service may take to end when asked, before it is killed. */
const PATIENCE_MS = 15_000;

/** A running service of ours; its output goes to a file. */
export class GuardedProcess {
  readonly #child: ChildProcess;
  readonly ended: Promise<void>;
  #end: string | undefined;

  constructor(launch: Launch, logFile: string) {
    const log = openSync(logFile, 'a');
    this.#child = spawn('/bin/sh', ['-c', GUARD, 'sh', launch.command, ...launch.args], {
      cwd: launch.cwd ?? '/',
      env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '/', LC_ALL: 'C', TZ: 'UTC', ...launch.env },
      detached: true, // Ctrl-C is for us, not for the services.
      stdio: ['ignore', log, log, 'pipe'],
    });
    closeSync(log);
    const guard = this.#child.stdio[3] as Writable;
    guard.on('error', () => {}); // The guard dies with its service when both are killed.
    this.ended = new Promise((resolve) => {
      const settle = (how: string) => {
        this.#end ??= how;
        guard.end('ended\n');
        resolve();
      };
      this.#child.once('exit', (code, signal) => settle(signal ?? `code ${code}`));
      this.#child.once('error', (error) => settle(error.message));
    });
  }

  /** How it ended, or undefined while it runs. */
  get end(): string | undefined {
    return this.#end;
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  signal(name: NodeJS.Signals): void {
    if (this.#end === undefined) this.#child.kill(name);
  }

  /** kill -9. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }

  /** Asks it to end, and kills it when it does not. */
  async stop(): Promise<void> {
    this.signal('SIGTERM');
    this.signal('SIGCONT');
    const timer = setTimeout(() => this.signal('SIGKILL'), PATIENCE_MS);
    await this.ended;
    clearTimeout(timer);
  }
}
