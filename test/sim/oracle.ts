import type { Bus, GenerationId, Producer, Row, Source, TableId } from '@nanosync/core';
import { topicsOf } from '@nanosync/core';
import type { MemoryBusStore, MemoryWarehouse } from '@nanosync/testkit';
import { BusOracle } from './bus-oracle.ts';
import { slotsOf } from './model/anchor.ts';
import type { ModelDatabase } from './model/database.ts';
import { resultText } from './model/queries.ts';
import type { Occurrences } from './occurrences.ts';
import { RestOracle } from './rest-oracle.ts';
import { SinkOracle } from './sink-oracle.ts';
import { PIPELINE, StateOracle } from './state-oracle.ts';
import { Versions } from './versions.ts';
import { schemas } from './workload.ts';

/** What is watched. */
export interface OracleParts {
  readonly db: ModelDatabase;
  readonly busStore: MemoryBusStore;
  readonly occurrences: Occurrences;
  /** The warehouse that users see now. */
  readonly warehouse: () => MemoryWarehouse;
  /** The stored pipeline has a request for a new anchor. */
  readonly isRequested: () => boolean;
  readonly nowMs: () => number;
  /** Keys of the state store. */
  readonly leftInState: () => readonly string[];
  /** Nothing is slow to hear of what is wanted: what must rest is looked at. */
  readonly isPrompt: boolean;
  readonly violated: (what: string) => void;
  /** How the results of a query are written, or null. */
  readonly query: 'replaced' | 'merged' | null;
  /** Rows that were at the sink before. */
  readonly atSink: readonly Row[];
  /** The file names a type of which all images are complete. */
  readonly isUnbased: () => boolean;
}

/** How often a generation went on while a newer one was copied beside it. */
export const FED_BESIDE = 'older generation gets changes';

/** Watches everything that outlives a process, where it happens, and says what must never be. */
export class Oracle {
  readonly state: StateOracle;
  readonly bus: BusOracle;
  readonly sink: SinkOracle;
  private readonly rest: RestOracle;
  private readonly parts: OracleParts;
  /** Epochs that were there when a warehouse was lost. */
  private readonly lost = new Set<string>();
  /** Anchors that were begun when changes had been published; stored only when somebody asked for that. */
  private readonly overChanges = new Set<string>();

  constructor(parts: OracleParts) {
    this.parts = parts;
    const { db, busStore, occurrences, warehouse, violated } = parts;
    this.state = new StateOracle({ occurrences, nowMs: parts.nowMs, violated });
    this.state.durable = (generation, partition) =>
      this.requireStaged(generation, partition).catch((error: unknown) => violated(String(error)));
    this.state.anchored = (id, isAsked) => {
      if (!isAsked && this.overChanges.has(id)) violated('the pipeline was anchored anew although nobody asked for it');
    };
    this.rest = new RestOracle({ nowMs: parts.nowMs, violated: parts.isPrompt ? violated : () => {} });
    this.state.deleted = (dropTables) => this.deleted(dropTables);
    this.state.left = (table) => this.left(table);
    this.state.wanted = (intent) => this.rest.wanted(intent);
    const topics = new Map(schemas().map(({ table }) => [topicsOf().changes(PIPELINE, table), table]));
    this.bus = new BusOracle({
      db,
      schemaOf: (id) => busStore.schemas[id - 1] ?? '',
      tableOf: (topic) => topics.get(topic),
      epochsOf: (slot, table) => this.state.epochsOf(slot, table),
      endOf: (epoch) => this.state.endOf(epoch),
      columnsOf: (table) => this.state.columnsOf(table),
      violated,
    });
    const versions = new Versions(db);
    for (const { table } of schemas()) for (const row of parts.atSink) versions.allow(table, row);
    this.sink = new SinkOracle({
      versions,
      read: (table) => warehouse().read(table),
      filled: (table) => warehouse().filled(table),
      l0Of: (epoch) => this.state.l0Of(epoch) ?? this.bus.l0Of(epoch),
      l1Of: (epoch) => this.bus.l1Of(epoch),
      fedBeside: ({ table, epoch }) => {
        if (this.state.olderOf(table) === epoch) occurrences.count('transition', FED_BESIDE);
      },
      isUnbased: parts.isUnbased,
      wrote: (what) => this.rest.wrote(what),
      isQuery: parts.query !== null,
      isResult: parts.query === 'replaced' ? (rows) => db.results.has(resultText(rows)) : undefined,
      violated,
    });
    db.onConfirm = (lsn, slot) => this.bus.confirmed(lsn, slot);
  }

  /** The warehouse is another one: what it shows, and what is reported of it, begins again. */
  warehouseLost(): void {
    for (const epoch of this.state.knownEpochs()) this.lost.add(epoch);
    this.sink.lost();
    this.state.mayGoBack();
  }

  /** Nothing is left of a table that was taken out, but its rows, which stay as they are until it is added again. */
  private left(table: TableId): void {
    const { db, busStore, violated, isPrompt, leftInState, warehouse, occurrences } = this.parts;
    occurrences.count('transition', 'table taken out');
    this.sink.leftAs(table, warehouse().read(table));
    if (!isPrompt) return;
    const left = [
      ...(db.isPublished(table) ? ['its publication'] : []),
      ...[...busStore.topics.keys()].filter((name) => name === topicsOf().changes(PIPELINE, table)),
      ...leftInState().filter((key) => key.includes(`/${encodeURIComponent(table)}`)),
    ];
    if (left.length > 0) violated(`${table} is taken out, and this is left: ${left.join(', ')}`);
  }

  /** Nothing is left of a pipeline that is deleted, but what the sink shows where it was to stay. */
  private deleted(dropTables: boolean): void {
    const { db, busStore, violated, isPrompt, leftInState, warehouse } = this.parts;
    this.parts.occurrences.count('transition', 'pipeline deleted');
    if (dropTables) this.sink.lost(); // What comes next begins with the copy.
    if (!isPrompt) return; // Who was stopped may have made something just now.
    const left = [
      ...(db.publication === undefined ? [] : ['its publication']),
      ...slotsOf(db, PIPELINE),
      ...[...busStore.topics.keys()].filter((name) => name !== topicsOf().tasks),
      ...leftInState(),
      ...(dropTables ? schemas().flatMap(({ table }) => (warehouse().read(table) === undefined ? [] : [`rows of ${table}`])) : []),
    ];
    if (left.length > 0) violated(`the pipeline is deleted, and this is left: ${left.join(', ')}`);
  }

  /** The bus with what is sent watched. */
  watchingBus(bus: Bus): Bus {
    const producer = async (): Promise<Producer> => {
      const made = await bus.producer();
      return {
        send: async (topic, partition, messages) => {
          const sent = await made.send(topic, partition, messages);
          this.bus.sent(topic, partition, messages);
          return sent;
        },
        [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
      };
    };
    return new Proxy(bus, {
      get: (target, key) => {
        if (key === 'producer') return producer;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** The source with anchors watched, and what is read. */
  watchingSource(source: Source): Source {
    // As the planner could see it: what is published while it makes the anchor is of one that the store has forgotten.
    let hadChanges = false;
    const discover: typeof source.discover = (...args) => {
      hadChanges = this.hasChanges();
      return source.discover(...args);
    };
    const anchor: typeof source.anchor = (pipeline, id, tables) => {
      if (hadChanges) this.overChanges.add(id);
      return source.anchor(pipeline, id, tables);
    };
    const readRange: typeof source.readRange = (...args) => {
      this.rest.read('a range');
      return source.readRange(...args);
    };
    const changes: typeof source.changes = async (options) => {
      this.rest.read('the stream');
      const reader = await source.changes(options);
      return {
        next: async () => {
          this.rest.read('the next changes');
          return reader.next();
        },
        acknowledge: (position) => reader.acknowledge(position),
        [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
      };
    };
    return { ...source, discover, anchor, readRange, changes };
  }

  /** Something was published of the pipeline's tables. */
  private hasChanges(): boolean {
    return [...this.parts.busStore.topics].some(
      ([name, { partitions }]) => name.endsWith('.changes') && partitions.some((log) => log.start + log.messages.length > 0),
    );
  }

  /** What is told to be durable is at the sink, unless the epoch is given up or about to be. */
  private async requireStaged(generation: GenerationId, partition: number): Promise<void> {
    const sink = this.parts.warehouse().open();
    if (this.lost.has(generation.epoch) || this.parts.isRequested() || (await sink.generation(generation)) !== undefined) return;
    const staged = await sink.staged(generation);
    if (staged.some((one) => one.partition === partition) || this.state.epochOf(generation.table) !== generation.epoch) return;
    this.parts.violated(`partition ${partition} of ${generation.table} is called durable and is not`);
  }
}
