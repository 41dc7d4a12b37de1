import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Clock, Log } from '@nanosync/core';
import { describeError, PipelineError } from '@nanosync/core';

/** How often a running process says that it is well, in milliseconds. */
const SAY_EVERY_MS = 5_000;
/** A file that is older was left by a process that hangs, is stopped or gone. */
const OLDEST_MS = 30_000;

/** What a process says of itself. */
interface HealthFile {
  readonly pid: number;
  readonly atMs: number;
  /** Each service of the process: null while it runs, else why it waits to be started again. */
  readonly services: Readonly<Record<string, string | null>>;
}

/** Where services say how they are. */
export interface Health {
  /** `trouble` is null when the service begins, or why it ended and waits to be started again. */
  set(service: string, trouble: string | null): void;
}

/** For a process that nobody asks. */
export const NO_HEALTH: Health = { set: () => undefined };

/**
 * Writes a file every few seconds until disposed, as long as this process's event loop turns: what a container's health check looks at. It
 * says nothing of engines that are away, since no restart of this process would bring them back.
 */
export class HealthReport implements Health, AsyncDisposable {
  private readonly path: string;
  private readonly clock: Clock;
  private readonly pid: number;
  private readonly services: Record<string, string | null> = {};
  private readonly ending = new AbortController();
  private readonly running: Promise<void>;

  constructor(path: string, { clock, log, pid }: { readonly clock: Clock; readonly log: Log; readonly pid: number }) {
    this.path = path;
    this.clock = clock;
    this.pid = pid;
    this.write(); // At once, so that a path that cannot be written is refused.
    this.running = this.repeat(log);
  }

  set(service: string, trouble: string | null): void {
    this.services[service] = trouble;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.ending.abort();
    await this.running;
    rmSync(this.path, { force: true });
  }

  private async repeat(log: Log): Promise<void> {
    while (!this.ending.signal.aborted) {
      await this.clock.sleep(SAY_EVERY_MS, this.ending.signal);
      if (this.ending.signal.aborted) return;
      try {
        this.write();
      } catch (error) {
        log.warn('health file cannot be written', { err: describeError(error) });
      }
    }
  }

  private write(): void {
    const { path, services } = this;
    const text = JSON.stringify({ pid: this.pid, atMs: this.clock.nowMs(), services } satisfies HealthFile);
    try {
      writeFileSync(`${path}.new`, `${text}\n`);
      renameSync(`${path}.new`, path);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
      throw new PipelineError('config', `The health file ${path} cannot be written (${code}).`, { hint: 'Name another.', cause: error });
    }
  }
}

/** Why the process that writes this file is not well, or undefined. */
export function unhealthy(path: string, nowMs: number): string | undefined {
  let said: HealthFile;
  try {
    said = JSON.parse(readFileSync(path, 'utf8')) as HealthFile;
  } catch {
    return `no nanosync writes ${path}.`;
  }
  const seconds = Math.round((nowMs - said.atMs) / 1000);
  if (nowMs - said.atMs > OLDEST_MS) return `process ${said.pid} has said nothing for ${seconds} s.`;
  const waiting = Object.entries(said.services).flatMap(([service, trouble]) =>
    trouble === null ? [] : [`${service} does not run: ${trouble}`],
  );
  return waiting.length === 0 ? undefined : waiting.join(' ');
}
