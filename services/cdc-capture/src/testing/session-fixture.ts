import type {
  Anchor,
  Bus,
  CaptureRecord,
  ChangeReader,
  ChangesOptions,
  ControlEvent,
  OutMessage,
  PipelineRecord,
  Position,
  Producer,
  ServiceContext,
  Source,
  SourceEvent,
  State,
  TableId,
  TableRecord,
  TableSchema,
} from '@nanosync/core';
import {
  ChangeCodec,
  CONTROL_EVENT,
  decodeMessage,
  PipelineError,
  positionOf,
  RECORD_VERSION,
  RUNNING,
  schemaIdOf,
  stateKeys,
  tableIdOf,
  topicsOf,
} from '@nanosync/core';
import { at, FakeClock, ORDERS, openMemoryBus, openMemoryState, order } from '@nanosync/testkit';
import { runCaptureSession } from '../capture-session.ts';

export const L0 = positionOf(10n, 0n);
const CONNECTION = { name: 'c', type: 'fake', dsn: null, properties: {} };
const CAPTURE = stateKeys.capture('p');
const TOPIC = topicsOf().changes('p', ORDERS.table);
/** A table that comes to the pipeline later. */
export const ITEMS: TableSchema = { ...ORDERS, table: tableIdOf('public', 'items') };

export const PIPELINE: PipelineRecord = {
  v: RECORD_VERSION,
  definition: {
    name: 'p',
    replicationType: 'cdc_backfill',
    source: { connection: CONNECTION, tables: [ORDERS.table] },
    sink: { connection: CONNECTION },
    snapshot: { concurrency: 1, targetRowsPerPartition: 10, maxRowsPerSecond: null },
  },
  ...{
    phase: 'streaming',
    anchor: { id: 'a1', l0: L0, origin: {} },
    failure: null,
    waiting: null,
    request: null,
    intent: RUNNING,
    createdMs: 0,
  },
};

const TABLE: TableRecord = {
  ...{ v: RECORD_VERSION, table: ORDERS.table, phase: 'snapshotting', anchor: 'a1', epoch: 'e1', schema: ORDERS, storage: 's', l0: L0 },
  ...{ l1Requested: false, partitions: 1, voids: 0, estimatedRows: 1, busPartitions: 1, older: null, failure: null },
};

/** What the bus holds of the table, decoded. */
export interface Published {
  readonly kind: ControlEvent['kind'] | 'change';
  readonly session: number;
  readonly position: Position;
}

/** A send of a producer as it is about to go out; what it throws or returns is what the producer does. */
export type OnSend = (send: () => ReturnType<Producer['send']>, messages: readonly OutMessage[]) => ReturnType<Producer['send']>;

/** The transaction of this commit that inserts these rows. */
export function transaction(commit: number, ids: readonly number[], body?: string, table: TableId = ORDERS.table): readonly SourceEvent[] {
  const rest = { before: null, rowless: false, keyChange: false, completed: false, txId: commit, commitMs: 1 } as const;
  const inserts = ids.map(
    (id, index): SourceEvent => ({
      kind: 'change',
      table,
      op: 'c',
      after: order(id, 'n', body),
      position: at(commit, index + 1),
      ...rest,
    }),
  );
  return [...inserts, { kind: 'commit', position: at(commit, ids.length), acknowledge: at(commit, 0), commitMs: 1 }];
}

/** Capture's surroundings in memory: a source whose log a test writes, and a list of what happened in which order. */
export async function captureFixture(onSend: OnSend = (send) => send(), { mayLoseMs = 0 } = {}) {
  const clock = new FakeClock();
  const stored = openMemoryState({ clock });
  let ids = 0;
  const { bus, registry } = await openMemoryBus({ clock, ids: { next: () => `t${++ids}` } });
  const happened: string[] = [];
  const opened: ChangesOptions[] = [];
  const log: (readonly SourceEvent[])[] = [];
  const wakes = new Set<() => void>();
  const verified: string[] = [];
  /** Whether the table was to be completed, at each time that the session asked for more. */
  const asked: boolean[] = [];
  let broken: PipelineError | undefined;
  let logEnd = L0;
  const state = new Proxy(stored, {
    get: (target, name) => {
      if (name === 'mayLoseMs') return mayLoseMs;
      if (name !== 'put') return bound(target, name);
      return async (...args: Parameters<State['put']>) => {
        if (args[0] === CAPTURE) happened.push('stored');
        return stored.put(...args);
      };
    },
  });
  const watched = new Proxy(bus, {
    get: (target, name) => {
      if (name !== 'producer') return bound(target, name);
      return async (): Promise<Producer> => {
        const producer = await bus.producer();
        return {
          send: (topic, partition, messages) => {
            happened.push('sent');
            return onSend(() => producer.send(topic, partition, messages), messages);
          },
          [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
        };
      };
    },
  }) as Bus;
  /** From the transaction at or behind `from` on, one after the other. */
  const readerOf = (options: ChangesOptions): ChangeReader => {
    opened.push(options);
    let next = log.findIndex((events) => commitOf(events) >= options.from);
    if (next < 0) next = log.length;
    const ended = new Set<TableId>();
    /** Nothing of a table before it begins, and nothing behind its `schema` event. */
    const delivered = (events: readonly SourceEvent[]) =>
      events.filter((event) => {
        if (!('table' in event)) return true;
        if (options.begun?.(event.table, commitOf(events)) === false || ended.has(event.table)) return false;
        if (event.kind === 'schema') ended.add(event.table);
        return true;
      });
    return {
      next: async () => {
        asked.push(options.complete(ORDERS.table));
        while (next >= log.length && !options.signal.aborted) await new Promise<void>((resolve) => wakes.add(resolve));
        return options.signal.aborted ? undefined : delivered(log[next++] ?? []);
      },
      acknowledge: (position) => void happened.push(`acknowledged ${position}`),
      [Symbol.asyncDispose]: async () => {},
    };
  };
  const source = {
    verify: async (_: string, { id }: Anchor, published: Position | null) => {
      verified.push(`${id} ${published}`);
      if (broken !== undefined) throw broken;
    },
    changes: async (options: ChangesOptions) => readerOf(options),
    end: async () => logEnd,
    [Symbol.asyncDispose]: async () => {},
  } as unknown as Source;
  const line = () => {};
  const quiet = { debug: line, info: line, warn: line, error: line, with: () => quiet };
  const wake = () => {
    for (const one of wakes) one();
    wakes.clear();
  };
  const next = new Set<string>();
  const begin = (pipeline = PIPELINE) => {
    const ending = new AbortController();
    const ctx = {
      ...{
        state,
        bus: watched,
        registry,
        topics: topicsOf(),
        clock,
        log: quiet,
        keepMs: 0,
        tasksBusPartitions: 1,
        changesBusPartitions: 1,
      },
      ...{ ids: { next: () => `i${++ids}` }, failpoint: () => {}, openSource: async () => source, signal: ending.signal },
    } as unknown as ServiceContext;
    let outcome: { readonly error?: unknown } | undefined;
    const running = runCaptureSession(ctx, pipeline, { version: () => undefined, next }).then(
      () => {
        outcome = {};
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    return {
      outcome: () => outcome,
      end: async () => {
        ending.abort();
        wake();
        await clock.advance(1000);
        await running;
      },
    };
  };
  await bus.ensureTopic(TOPIC, 1);
  await bus.ensureTopic(topicsOf().quarantine('p'), 1);
  await stored.put(stateKeys.pipeline('p'), PIPELINE, 0);
  await stored.put(stateKeys.table('p', ORDERS.table), TABLE, 0);
  return {
    ...{ begin, bus, happened, opened, verified, asked, topic: TOPIC },
    /** The source's log is no longer whole. */
    breakLog: () => {
      broken = new PipelineError('gap', 'The slot is gone.');
    },
    /** Where the source's log ends now. */
    endAt: (position: Position) => {
      logEnd = position;
    },
    deliver: (events: readonly SourceEvent[]) => {
      log.push(events);
      wake();
    },
    acknowledged: () => happened.filter((each) => each.startsWith('acknowledged')).map((each) => each.slice('acknowledged '.length)),
    record: async () => (await stored.get(CAPTURE))?.value as CaptureRecord | undefined,
    remember: async (change: Partial<CaptureRecord>) => {
      const before = await stored.get(CAPTURE);
      await stored.put(CAPTURE, { ...(before?.value as CaptureRecord), ...change }, before?.version ?? 0);
    },
    /** Lets time pass until this holds, or for a long while. */
    until: async (done: () => boolean) => {
      for (let turn = 0; turn < 200 && !done(); turn++) await clock.advance(10);
      return done();
    },
    /** What apply and the planner store of a table that is added; with what has `record: false`, only apply. */
    add: async ({ record }: { readonly record: boolean }): Promise<PipelineRecord> => {
      const { definition } = PIPELINE;
      const tables = [ORDERS.table, ITEMS.table];
      const source = { ...definition.source, tables };
      const pipeline = { ...PIPELINE, definition: { ...definition, source }, recorded: record ? tables : [ORDERS.table] };
      const key = stateKeys.pipeline('p');
      await stored.put(key, pipeline, (await stored.get(key))?.version ?? 0);
      if (!record) return pipeline;
      await bus.ensureTopic(topicsOf().changes('p', ITEMS.table), 1);
      await stored.put(stateKeys.table('p', ITEMS.table), { ...TABLE, table: ITEMS.table, schema: ITEMS, epoch: 'i1', l0: null }, 0);
      return pipeline;
    },
    /** The table is copied anew with these columns, beside what it was. */
    copyAnew: async (schema: TableSchema) => {
      const key = stateKeys.table('p', ORDERS.table);
      const older = { epoch: TABLE.epoch, schema: ORDERS, storage: TABLE.storage, quarantinedBefore: 0 };
      await stored.put(key, { ...TABLE, epoch: 'e2', schema, l0: null, older }, (await stored.get(key))?.version ?? 0);
    },
    /** The table's copy was stopped. */
    stopCopy: async () => {
      const key = stateKeys.table('p', ORDERS.table);
      await stored.put(key, { ...TABLE, missing: [[0, 0]] }, (await stored.get(key))?.version ?? 0);
    },
    forget: (table: TableId) => stored.remove(stateKeys.table('p', table)),
    published: async (topic = TOPIC): Promise<readonly Published[]> => {
      const controlId = await registry.register('nanosync.control-value', CONTROL_EVENT.schema);
      const messages = await (await bus.reader(topic, 0, 0)).read({ maxBytes: 1e9, waitMs: 0 });
      return messages.map(({ value }) => {
        if (schemaIdOf(value) !== controlId) return { kind: 'change', ...new ChangeCodec(ORDERS).decode(value) } as Published;
        return decodeMessage(CONTROL_EVENT, value) as unknown as Published;
      });
    },
  };
}

function commitOf(events: readonly SourceEvent[]): Position {
  const last = events.at(-1);
  return last?.kind === 'commit' ? last.acknowledge : (last?.position as Position);
}

function bound(target: object, name: string | symbol): unknown {
  const value = Reflect.get(target, name, target) as unknown;
  return typeof value === 'function' ? value.bind(target) : value;
}
