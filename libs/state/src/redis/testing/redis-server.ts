import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@nanosync/testkit';

/** A running Redis of our own. */
export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  /** `redis://127.0.0.1:port`. */
  readonly url: string;
  /** kill -9; what `appendfsync always` promises is there at the next {@link start}. */
  kill(): Promise<void>;
  /** Starts again on the same port and data, after {@link kill}. */
  start(): Promise<void>;
  /** SIGSTOP: connections stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** Runs one command over a connection of its own and returns the raw reply. */
  command(...words: readonly string[]): Promise<string>;
}

/** Settings of {@link startRedis}. */
export interface RedisServerOptions {
  /** The program; default `redis-server` of the PATH. */
  readonly binary?: string;
  /** More lines of redis.conf, as command line arguments, such as `['--requirepass', 'x']`. */
  readonly args?: readonly string[];
  /** Login of {@link RedisServer.command}, such as `['AUTH', 'x']`. */
  readonly login?: readonly string[];
  /** Files of certificates: the server speaks TLS only and wants a client's certificate; {@link RedisServer.command} does not work then. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** Starts a Redis on a free port of 127.0.0.1 with `appendonly yes, appendfsync always`; it ends with the process that started it. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const directory = mkdtempSync(join(tmpdir(), 'nanosync-redis-'));
  const port = await freePort();
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const { tls } = options;
  const listen =
    tls === undefined
      ? ['--port', String(port)]
      : ['--port', '0', '--tls-port', String(port), '--tls-ca-cert-file', tls.ca, '--tls-cert-file', tls.cert, '--tls-key-file', tls.key];
  const args = [...listen, '--bind', '127.0.0.1', '--dir', directory, '--daemonize', 'no', ...durable, ...(options.args ?? [])];
  const start = () => serve(options.binary ?? 'redis-server', args);
  let running = await start();
  return {
    port,
    url: `${tls === undefined ? 'redis' : 'rediss'}://127.0.0.1:${port}`,
    kill: () => running.end('KILL'),
    start: async () => {
      running = await start();
    },
    pause: () => void process.kill(running.pid, 'SIGSTOP'),
    resume: () => void process.kill(running.pid, 'SIGCONT'),
    command: (...words) => ask(port, [...(options.login === undefined ? [] : [options.login]), words]),
    [Symbol.asyncDispose]: async () => {
      await running.end('KILL');
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

interface Running {
  readonly pid: number;
  end(signal: 'KILL'): Promise<void>;
}

/** Runs the server under a shell that kills it when our end of its standard input closes: it never outlives us. */
async function serve(binary: string, args: readonly string[]): Promise<Running> {
  const script = '"$@" </dev/null & pid=$!; echo "pid $pid"; read line; kill -KILL $pid; wait $pid';
  const child = spawn('/bin/sh', ['-c', script, 'redis', binary, ...args], { cwd: '/', detached: true, stdio: ['pipe', 'pipe', 'pipe'] });
  let log = '';
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const pid = await new Promise<number>((resolve, reject) => {
    const look = (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-20_000);
      const found = /^pid (\d+)/m.exec(log)?.[1];
      if (found !== undefined && /Ready to accept connections/.test(log)) resolve(Number(found));
      if (/not found|Fatal|FATAL|exiting/i.test(log)) reject(new Error(`Redis did not start:\n${log}`));
    };
    child.stdout?.on('data', look);
    child.stderr?.on('data', look);
    child.once('error', reject);
  });
  return {
    pid,
    end: async () => {
      child.stdin?.end('\n');
      await ended;
    },
  };
}

/** Sends commands and returns the last reply as it came. */
function ask(port: number, commands: readonly (readonly string[])[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let received = '';
    socket.on('error', reject);
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    socket.on('close', () => resolve(received));
    for (const words of [...commands, ['QUIT']])
      socket.write(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`);
  });
}
