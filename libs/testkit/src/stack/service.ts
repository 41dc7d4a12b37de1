import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { GuardedProcess, type Launch } from './guarded-process.ts';
import { lastLines } from './tool.ts';

/** Where one service puts its files and what it tells. */
export interface ServiceOptions {
  /** Folder of data and log; made when it is not there. Data that is in it already is used again. */
  readonly directory: string;
  /** Default: a free one, chosen when the service is first started. */
  readonly port?: number;
  /** Nobody stops it and wants its data again: an engine that can may keep them in memory alone. */
  readonly forOnce?: boolean;
  /** Told once about each slow step, such as a download. */
  readonly log?: (line: string) => void;
}

/** A service of the local stack, on 127.0.0.1. It can be killed and started again on the same ports and data. */
export interface Service<Address> extends AsyncDisposable {
  readonly name: string;
  readonly address: Address;
  readonly logFile: string;
  readonly pid: number | undefined;
  /** Starts it again; resolves when it has answered a real call. Does nothing while it runs. */
  start(): Promise<void>;
  /** Asks it to end. */
  stop(): Promise<void>;
  /** kill -9. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open and nobody answers. */
  pause(): void;
  /** SIGCONT. */
  resume(): void;
  /** One real call; rejects when it is not answered as it should be. */
  check(): Promise<void>;
}

/** What differs from service to service. */
export interface ServiceKind<Address> {
  readonly name: string;
  readonly address: Address;
  readonly launch: Launch;
  /** One real call. */
  readonly check: (signal: AbortSignal) => Promise<void>;
}

/** How long a service may take until it answers; a JVM on a machine that does much else took 44 s. */
const START_MS = 180_000;
const CALL_MS = 5_000;
const POLL_MS = 50;

/** Starts a service and waits until it answers. */
export async function startService<Address>(kind: ServiceKind<Address>, directory: string): Promise<Service<Address>> {
  mkdirSync(directory, { recursive: true });
  const logFile = join(directory, `${kind.name}.log`);
  let running: GuardedProcess | undefined;
  const check = () => kind.check(AbortSignal.timeout(CALL_MS));
  const stop = async () => running?.stop();
  const start = async () => {
    if (running !== undefined && running.end === undefined) return;
    running = new GuardedProcess(kind.launch, logFile);
    try {
      await answers(kind.name, running, check);
    } catch (error) {
      await running.kill();
      throw new Error(`${(error as Error).message}; the end of ${logFile}:\n${lastLines(readFileSync(logFile, 'utf8'))}`);
    }
  };
  await start();
  return {
    name: kind.name,
    address: kind.address,
    logFile,
    get pid() {
      return running?.end === undefined ? running?.pid : undefined;
    },
    start,
    stop,
    kill: async () => running?.kill(),
    pause: () => running?.signal('SIGSTOP'),
    resume: () => running?.signal('SIGCONT'),
    check,
    [Symbol.asyncDispose]: stop,
  };
}

/** Asks until it is answered, the process has ended, or patience has. */
async function answers(name: string, process: GuardedProcess, check: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + START_MS; ; ) {
    try {
      await check();
      // Somebody else may have answered on a port that our process could not get.
      if (process.end === undefined) return;
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${name} did not answer within ${START_MS / 1000} s (${(error as Error).message})`);
    }
    if (process.end !== undefined) throw new Error(`${name} ended while starting (${process.end})`);
    await delay(POLL_MS);
  }
}
