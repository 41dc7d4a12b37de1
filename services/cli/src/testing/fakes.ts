import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServedApi } from '@nanosync/api';
import type { Bus, ConnectionDefinition, Problem, Registry, ServiceContext, Sink, Source, State, StateEntry } from '@nanosync/core';
import { openApi } from '@nanosync/planner/api';
import { createLog, createRedactor, randomIds, resolveSecrets, systemClock } from '@nanosync/runtime';
import { runCli } from '../cli.ts';
import { serveApi } from '../commands/api-serving.ts';
import type { CommonOptions } from '../commands/common.ts';
import type { Adapters, CliContext, Service } from '../context.ts';
import { claimDirectory } from '../data-directory.ts';
import type { Terminal } from '../monitor/terminal.ts';
import type { Place } from '../place.ts';
import { placeOf, topicsAt } from '../place.ts';

/** A state store in memory. Shared by everyone who opens the same directory, which it makes like the real one. */
export class MemoryState implements State {
  private static readonly stores = new Map<string, { readonly entries: Map<string, StateEntry>; readonly leases: Set<string> }>();
  private readonly entries: Map<string, StateEntry>;
  /** Leases that somebody holds. */
  readonly leases: Set<string>;
  /** Runs before a write; a test may write first and so beat it. */
  beforePut: (() => Promise<void>) | undefined;

  constructor(directory?: string) {
    const store = (directory === undefined ? undefined : MemoryState.stores.get(directory)) ?? { entries: new Map(), leases: new Set() };
    this.entries = store.entries;
    this.leases = store.leases;
    if (directory === undefined) return;
    mkdirSync(directory, { recursive: true });
    MemoryState.stores.set(directory, store);
  }

  async get(key: string) {
    return this.entries.get(key);
  }

  async list(prefix: string) {
    const found = [...this.entries.values()].filter((entry) => entry.key.startsWith(prefix));
    return found.sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async put(key: string, value: unknown, expected: number) {
    return (await this.putAll([{ key, value, expected }])) ? expected + 1 : undefined;
  }

  async putAll(entries: readonly { readonly key: string; readonly value: unknown; readonly expected: number }[]) {
    const before = this.beforePut;
    this.beforePut = undefined;
    await before?.();
    if (entries.some(({ key, expected }) => (this.entries.get(key)?.version ?? 0) !== expected)) return false;
    for (const { key, value, expected } of entries)
      this.entries.set(key, { key, value: JSON.parse(JSON.stringify(value)), version: expected + 1 });
    return true;
  }

  async remove(key: string) {
    return this.entries.delete(key);
  }

  async lease() {
    return true;
  }

  async isLeased(name: string) {
    return this.leases.has(name);
  }

  async release() {}

  async [Symbol.asyncDispose]() {}
}

/** What a test wants of the adapters behind the commands. */
export interface FakeOptions {
  readonly sourceProblems?: readonly Problem[] | Error;
  readonly sinkProblems?: readonly Problem[] | Error;
  readonly services?: readonly Service[];
  readonly env?: Readonly<Record<string, string>>;
  readonly isTerminal?: boolean;
  readonly terminal?: () => Terminal;
  /** The bus that `tap` reads. */
  readonly bus?: () => Promise<{ readonly bus: Bus; readonly registry: Registry }>;
  readonly onState?: (state: MemoryState) => void;
  /** Errors with which a cluster's engines are opened. */
  readonly engines?: { readonly state?: Error; readonly bus?: Error };
}

/** A command line with fake adapters and a temporary folder. */
export class TestCli implements Disposable {
  readonly root = mkdtempSync(join(tmpdir(), 'nanosync-cli-'));
  readonly dataDir = join(this.root, 'data');
  readonly stop = new AbortController();
  readonly outputGone = new AbortController();
  out: string[] = [];
  err: string[] = [];
  /** Lines of the servers that {@link serve} started. */
  readonly serverLog: string[] = [];
  /** Places whose state was opened. */
  readonly places: Place[] = [];
  /** Slots that the services were asked for with. */
  workerSlots: number | undefined;
  /** Connections as the adapters got them. */
  readonly opened: ConnectionDefinition[] = [];
  private readonly options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.options = options; // Kept, not copied: a test may change its wishes between two commands.
  }

  /** Runs one command line and returns its exit status. */
  async run(...args: readonly string[]): Promise<number> {
    this.out = [];
    this.err = [];
    return runCli(this.context(), args);
  }

  /** Runs one command line while a server answers at the place that it names. */
  async ask(...args: readonly string[]): Promise<number> {
    const at = args.indexOf('--config');
    await using api = await this.serve(at < 0 ? { dataDir: this.dataDir } : { config: args[at + 1] as string });
    return await this.run(...args, ...(at < 0 ? [] : ['--api', api.url as string]));
  }

  /** Answers commands at a place until disposed, and runs nothing else. */
  async serve(options: CommonOptions): Promise<ServedApi> {
    const context = this.context();
    const place = await placeOf(context, options);
    const resources = new AsyncDisposableStack();
    if (place.kind === 'embedded') resources.use(claimDirectory(place.directory));
    const log = createLog({ format: 'human', level: 'debug', redact: context.redactor.redact, write: (line) => this.serverLog.push(line) });
    const state = await context.adapters.openState(place);
    const { bus, registry } = (await this.options.bus?.()) ?? (await context.adapters.openBus(place, log));
    resources.use(bus);
    const { clock, ids } = context;
    const ctx: ServiceContext = {
      ...{ state, bus, registry, topics: topicsAt(place), log, clock, ids, failpoint: () => {}, signal: this.stop.signal },
      ...{ tasksBusPartitions: 1, changesBusPartitions: 1, keepMs: 0 },
      openSource: async (connection) => context.adapters.openSource(await resolveSecrets(connection, context), log),
      openSink: async (connection) => context.adapters.openSink(await resolveSecrets(connection, context), { memoryLimitBytes: 1, log }),
    };
    const api = resources.use(await serveApi(context, { place, options, ctx }));
    return { url: api.url, [Symbol.asyncDispose]: () => resources.disposeAsync() };
  }

  /** Writes a file into the folder and returns its path. */
  file(name: string, text: string): string {
    const path = join(this.root, name);
    writeFileSync(path, text);
    return path;
  }

  state(): MemoryState {
    return new MemoryState(join(this.dataDir, 'state'));
  }

  /** The state of a cluster. */
  clusterState(): MemoryState {
    return new MemoryState(join(this.root, 'redis'));
  }

  [Symbol.dispose](): void {
    rmSync(this.root, { recursive: true });
  }

  private context(): CliContext {
    return {
      adapters: this.adapters(),
      clock: systemClock(),
      ids: randomIds(),
      env: this.options.env ?? {},
      redactor: createRedactor(),
      out: (line) => this.out.push(line),
      err: (line) => this.err.push(line),
      outputGone: this.outputGone.signal,
      pid: 4242,
      version: '9.9.9',
      isTerminal: this.options.isTerminal ?? true,
      ...(this.options.terminal === undefined ? {} : { terminal: this.options.terminal }),
      boundMemory: () => {},
      exitNow: () => {},
      stop: this.stop.signal,
    };
  }

  private adapters(): Adapters {
    const { sourceProblems = [], sinkProblems = [], services = [], onState } = this.options;
    const settled = async (result: readonly Problem[] | Error) => {
      if (result instanceof Error) throw result;
      return result;
    };
    return {
      openState: async (place) => {
        this.places.push(place);
        if (this.options.engines?.state instanceof Error) throw this.options.engines.state;
        const state = new MemoryState(place.kind === 'embedded' ? place.directory.state : join(this.root, 'redis'));
        onState?.(state);
        return state;
      },
      openBus: async (place) => {
        if (this.options.engines?.bus instanceof Error) throw this.options.engines.bus;
        if (place.kind === 'embedded') mkdirSync(place.directory.bus, { recursive: true });
        const bus = { topic: async () => undefined, [Symbol.asyncDispose]: async () => {} };
        return { bus: bus as unknown as Bus, registry: {} as unknown as Registry };
      },
      openSource: async (connection) => {
        this.opened.push(connection);
        return {
          check: () => settled(sourceProblems),
          discover: async () => [],
          [Symbol.asyncDispose]: async () => {},
        } as unknown as Source;
      },
      openSink: async (connection) => {
        this.opened.push(connection);
        return { [Symbol.asyncDispose]: async () => {} } as unknown as Sink;
      },
      checkSink: async (connection) => {
        this.opened.push(connection);
        return settled(sinkProblems);
      },
      openApi,
      services: (slots) => {
        this.workerSlots = slots;
        return services;
      },
    };
  }
}

/** A service that runs until it is told to end. */
export function idleService(name: string, onStart: (ctx: ServiceContext) => void = () => {}): Service {
  return {
    name,
    run: (ctx) =>
      new Promise((resolve) => {
        onStart(ctx);
        if (ctx.signal.aborted) resolve();
        else ctx.signal.addEventListener('abort', () => resolve(), { once: true });
      }),
  };
}

/** A pipelines file for the fakes. */
export const PIPELINES = `connections:
  - name: prod
    type: postgres
    dsn: postgres://app:\${env:PW}@db/shop
  - name: warehouse
    type: duckdb
    properties: {path: w.duckdb}
pipelines:
  - name: orders-pipeline
    source: {connection: prod, tables: [public.orders]}
    sink: {connection: warehouse}
    snapshot: {concurrency: 4}
`;

/** A command line with the usual file and its password in the environment. */
export function cliWith(options: FakeOptions = {}): { readonly cli: TestCli; readonly file: string; readonly args: readonly string[] } {
  const cli = new TestCli(Object.assign(options, { env: { PW: 'hunter2' }, ...options }));
  const file = cli.file('pipelines.yaml', PIPELINES);
  return { cli, file, args: ['-f', file, '--data-dir', cli.dataDir] };
}
