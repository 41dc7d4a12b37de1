import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const NANOSYNC = fileURLToPath(new URL('../../services/cli/bin/nanosync.js', import.meta.url));

/** A running `nanosync`. */
export interface PipelineProcess {
  readonly pid: number;
  /** Resolves with a sentence when the process ended, whoever wanted it. */
  readonly ended: Promise<string>;
  /** Null while it runs. */
  readonly end: () => string | null;
  /** The last lines that it printed. */
  tail(lines: number): readonly string[];
  /** Most resident memory so far, in MB, or 0 where the system does not tell. */
  peakMb(): number;
  /** kill -9. */
  kill(): Promise<void>;
  /** Ctrl-C; kill -9 when it has not ended in time. Returns the exit status, null when it had to be killed. */
  interrupt(): Promise<number | null>;
}

/** How long a pipeline may take to end after Ctrl-C. */
const PATIENCE_MS = 20_000;

/** How a process is started, and what becomes of its lines. */
export interface ProcessOptions {
  /** What sentences call it. */
  readonly name: string;
  /** Arguments of `nanosync`. */
  readonly args: readonly string[];
  /** Its working folder. */
  readonly directory: string;
  /** Its log is added to this file. */
  readonly logFile: string;
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onLine: (line: string) => void;
}

/** Starts the pipeline as a user would, in a process of its own; `onLine` gets each line that it prints. */
export function startPipeline(
  options: {
    /** Without one the stored pipelines go on. */
    readonly file?: string | undefined;
    readonly dataDir: string;
    readonly directory: string;
    readonly format: 'human' | 'json';
    /** Variables beside those of this process. */
    readonly env?: Readonly<Record<string, string>>;
  },
  onLine: (line: string) => void,
): PipelineProcess {
  const { file, dataDir, directory, format, env = {} } = options;
  const args = ['start', ...(file === undefined ? [] : ['-f', file]), '--data-dir', dataDir, '--log-format', format];
  return startNanosync({ name: "The pipeline's process", args, directory, logFile: join(directory, 'pipeline.log'), env, onLine });
}

/** Starts a `nanosync` as a user would. It does not outlive this process, not even its kill -9: see the bin of the command. */
export function startNanosync({ name, args, directory, logFile, env, onLine }: ProcessOptions): PipelineProcess {
  const child = spawn(process.execPath, [NANOSYNC, ...args], {
    cwd: directory,
    env: { ...process.env, ...env, NANOSYNC_HANDED_OVER: String(process.pid) },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  const log = createWriteStream(logFile, { flags: 'a' });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`);
      last.push(line);
      if (last.length > 100) last.shift();
      onLine(line);
    });
  }
  let end: string | null = null;
  const ended = new Promise<string>((resolve) => {
    const finish = (sentence: string) => {
      end ??= sentence;
      log.end();
      resolve(end);
    };
    child.once('error', (error) => finish(`${name} did not start: ${error.message}.`));
    child.once('close', (code, signal) => finish(`${name} ended with ${signal ?? `status ${code}`}.`));
  });
  return {
    pid: child.pid ?? 0,
    ended,
    end: () => end,
    tail: (lines) => last.slice(-lines),
    peakMb: () => peakMb(child.pid),
    kill: async () => {
      child.kill('SIGKILL');
      await ended;
    },
    interrupt: () => interrupt(child, ended),
  };
}

async function interrupt(child: ChildProcess, ended: Promise<string>): Promise<number | null> {
  child.kill('SIGINT');
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await ended;
  clearTimeout(timer);
  return child.exitCode;
}

function peakMb(pid: number | undefined): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return Math.round(Number(kilobytes ?? 0) / 1024);
  } catch {
    return 0; // It has ended, or this is no Linux.
  }
}
