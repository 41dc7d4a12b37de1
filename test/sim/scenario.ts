import type { Row, SinkPace, TableId, TableSchema } from '@nanosync/core';
import { tableIdOf } from '@nanosync/core';
import type { Write } from './model-database.ts';
import { ModelDatabase } from './model-database.ts';
import type { Fate } from './process.ts';
import type { ServiceName } from './world.ts';
import { SERVICES, World } from './world.ts';

/** One run of the whole system. */
export interface Scenario {
  /** Decides what the writers do. */
  readonly seed: number;
  /** Which process meets which fate. */
  readonly fates?: readonly { readonly service: ServiceName; readonly fate: Fate }[];
  /** Services that run twice from the start. */
  readonly twice?: readonly ServiceName[];
  /** Rewrite a table while it is being copied. */
  readonly rewrite?: boolean;
  /** The state store loses its newest writes at these virtual times: it goes back to what it was `byMs` before. */
  readonly rewinds?: readonly { readonly atMs: number; readonly byMs: number }[];
  /** What the state store says that it may lose; see {@link State.mayLoseMs}. */
  readonly mayLoseMs?: number;
  /** The bus loses messages at this virtual time; see {@link World.loseMessages}. */
  readonly loses?: { readonly atMs: number; readonly ending: string; readonly count: number | 'topic' };
  /** The warehouse is lost at this virtual time. */
  readonly loseWarehouseAtMs?: number;
  /** One transaction writes more than capture publishes at once, so that its session can die within it. */
  readonly bulk?: boolean;
  /** A change that cannot be applied comes at this virtual time, when its table is long live. */
  readonly orphanAtMs?: number;
  /** All processes of a service are killed and one is started at this virtual time. */
  readonly restart?: { readonly service: ServiceName; readonly atMs: number };
  /** How long a stopped process sleeps; beyond every lease when not given. */
  readonly stoppedMs?: number;
  /** A resnapshot is asked for at this virtual time. */
  readonly resnapshotAtMs?: number;
  /** The sink wants much of a step; see {@link SinkPace}. */
  readonly pace?: SinkPace;
  /** A pipeline that fails is repaired by the command that its record names. */
  readonly repair?: boolean;
}

/** What a run came to. */
export interface Outcome {
  readonly problem: string | null;
  readonly failures: readonly string[];
  /** Messages on the quarantine topic. */
  readonly quarantined: number;
  /** Calls of each first process, to choose fates from. */
  readonly calls: Readonly<Record<ServiceName, number>>;
  readonly ended: readonly string[];
  readonly log: readonly string[];
  readonly ms: number;
}

const ORDERS = tableOf('orders');
const ITEMS = tableOf('items');
const TARGET_ROWS = 4;
const TRANSACTIONS = 60;
const WRITE_EVERY_MS = 15;
/** How long a stopped process sleeps: beyond every lease. */
const STOPPED_MS = 6000;
const GIVE_UP_MS = 600_000;

function tableOf(name: string): TableSchema {
  const text = { kind: 'text' } as const;
  const columns = [
    { name: 'id', type: { kind: 'int64' } as const },
    { name: 'name', type: text },
    { name: 'body', type: text },
  ];
  return { table: tableIdOf('public', name), columns, key: ['id'] };
}

/** Runs the system under a scenario until the sink equals the source, or tells why it does not. */
export async function runScenario(scenario: Scenario, look: (world: World) => void = () => {}): Promise<Outcome> {
  const random = lcg(scenario.seed);
  const db = new ModelDatabase([ORDERS, ITEMS]);
  for (const table of [ORDERS.table, ITEMS.table])
    for (let id = 1; id <= 18; id++) db.commit([{ kind: 'put', table, row: [BigInt(id), `first ${id}`, `body ${id}`] }]);
  const world = new World(db, scenario.mayLoseMs, scenario.pace);
  await world.open([ORDERS.table, ITEMS.table], TARGET_ROWS);
  const first = Object.fromEntries(
    SERVICES.map((name) => [name, world.start(name, scenario.fates?.find(({ service }) => service === name)?.fate)]),
  ) as Record<ServiceName, ReturnType<World['start']>>;
  for (const name of scenario.twice ?? []) world.start(name);
  const run = new Run(world, scenario, first, new Writers(db, random, scenario.bulk === true));
  const problem = await run.untilEqual();
  look(world);
  await world.close();
  const calls = Object.fromEntries(SERVICES.map((name) => [name, first[name].calls])) as Record<ServiceName, number>;
  return {
    problem,
    failures: run.failures,
    quarantined: world.quarantined(),
    calls,
    ended: world.ended,
    log: world.logged,
    ms: world.clock.monotonicMs(),
  };
}

/** Moves one world on and looks after its processes. */
class Run {
  readonly failures: string[] = [];
  private readonly world: World;
  private readonly scenario: Scenario;
  private readonly first: Record<ServiceName, ReturnType<World['start']>>;
  private readonly writers: Writers;
  private readonly replaced = new Set<ServiceName>();
  private readonly resumeAt = new Map<ServiceName, number>();
  private readonly snapshots: { atMs: number; entries: Map<string, { readonly json: string; readonly version: number }> }[] = [];
  private rewindsDone = 0;
  private resnapshotDone = false;
  private lossDone = false;
  private orphanDone = false;
  private warehouseLost = false;
  private restartDone = false;

  constructor(world: World, scenario: Scenario, first: Record<ServiceName, ReturnType<World['start']>>, writers: Writers) {
    this.world = world;
    this.scenario = scenario;
    this.first = first;
    this.writers = writers;
  }

  async untilEqual(): Promise<string | null> {
    const { clock } = this.world;
    let settledMs: number | null = null;
    for (let turn = 0; clock.monotonicMs() < GIVE_UP_MS; turn++) {
      await this.world.tick();
      this.writers.work(clock.monotonicMs());
      this.strike();
      await this.disturb();
      if (turn % 8 !== 0) continue;
      if (!(await this.isDone())) {
        settledMs = null;
        continue;
      }
      settledMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - settledMs > 1500)
        return (await this.world.miscounted()) === (this.scenario.orphanAtMs === undefined ? 0 : 1)
          ? null
          : 'rows were quarantined or counted as defects';
    }
    const { phase, failure, waiting } = await this.world.pipeline();
    return JSON.stringify({
      phase,
      failure,
      waiting,
      tables: await this.world.tablePhases(),
      differences: this.world.differences().slice(0, 6),
    });
  }

  private async isDone(): Promise<boolean> {
    if (!this.writers.done || this.resumeAt.size > 0) return false;
    if (this.rewindsDone < (this.scenario.rewinds?.length ?? 0)) return false;
    if (this.scenario.resnapshotAtMs !== undefined && !this.resnapshotDone) return false;
    if (this.scenario.loses !== undefined && !this.lossDone) return false;
    if (this.scenario.orphanAtMs !== undefined && !this.orphanDone) return false;
    if (this.scenario.loseWarehouseAtMs !== undefined && !this.warehouseLost) return false;
    if (this.scenario.restart !== undefined && !this.restartDone) return false;
    const { phase, failure, request } = await this.world.pipeline();
    if (phase === 'failed' && request === null) {
      this.failures.push(failure?.reason ?? 'without a reason');
      if (this.scenario.repair !== true || this.failures.length > 3) return false;
      await this.world.requestResnapshot();
      return false;
    }
    if (phase !== 'streaming' || request !== null || this.world.differences().length > 0) return false;
    if ((await this.world.behind()).length > 0) return false;
    return (await this.world.tablePhases()).every((table) => table === 'following');
  }

  /** A process that died is started anew; one that was stopped gets a second beside it and goes on later. */
  private strike(): void {
    const now = this.world.clock.monotonicMs();
    for (const { service, fate } of this.scenario.fates ?? []) {
      const process = this.first[service];
      if (!process.struck) continue;
      if (!this.replaced.has(service)) {
        this.replaced.add(service);
        this.world.start(service);
        if (fate.kind === 'pause') this.resumeAt.set(service, now + (this.scenario.stoppedMs ?? STOPPED_MS));
      }
      if ((this.resumeAt.get(service) ?? Number.POSITIVE_INFINITY) <= now) {
        this.resumeAt.delete(service);
        process.resume();
      }
    }
  }

  private async disturb(): Promise<void> {
    const { scenario, world } = this;
    const now = world.clock.monotonicMs();
    if (scenario.rewrite === true && this.writers.steps === 5) world.db.rewrite(ORDERS.table);
    if (scenario.resnapshotAtMs !== undefined && !this.resnapshotDone && now >= scenario.resnapshotAtMs) {
      this.resnapshotDone = true;
      await world.requestResnapshot();
    }
    if (scenario.orphanAtMs !== undefined && !this.orphanDone && now >= scenario.orphanAtMs) {
      this.orphanDone = true;
      world.db.logOrphan(ORDERS.table, [999n, 'nowhere', 'left out']);
    }
    if (scenario.loseWarehouseAtMs !== undefined && !this.warehouseLost && now >= scenario.loseWarehouseAtMs) {
      this.warehouseLost = true;
      world.loseWarehouse();
    }
    if (scenario.restart !== undefined && !this.restartDone && now >= scenario.restart.atMs) {
      this.restartDone = true;
      world.restart(scenario.restart.service);
    }
    if (scenario.loses !== undefined && !this.lossDone && now >= scenario.loses.atMs) {
      this.lossDone = true;
      world.loseMessages(scenario.loses.ending, scenario.loses.count);
    }
    if (scenario.rewinds === undefined) return;
    this.snapshots.push({ atMs: now, entries: new Map(world.stateStore.entries) });
    const rewind = scenario.rewinds[this.rewindsDone];
    if (rewind === undefined || now < rewind.atMs) return;
    this.rewindsDone++;
    const before = this.snapshots.findLast(({ atMs }) => atMs <= now - rewind.byMs);
    if (before === undefined) return;
    world.stateStore.entries.clear();
    for (const [key, entry] of before.entries) world.stateStore.entries.set(key, entry);
  }
}

/** What happens in the database meanwhile. */
class Writers {
  steps = 0;
  private readonly db: ModelDatabase;
  private readonly random: () => number;
  private nextMs = 0;
  private readonly bulk: boolean;

  constructor(db: ModelDatabase, random: () => number, bulk: boolean) {
    this.db = db;
    this.random = random;
    this.bulk = bulk;
  }

  get done(): boolean {
    return this.steps >= TRANSACTIONS;
  }

  work(nowMs: number): void {
    while (!this.done && this.nextMs <= nowMs) {
      this.nextMs += WRITE_EVERY_MS;
      this.steps++;
      this.db.commit(this.transaction());
    }
  }

  private transaction(): readonly Write[] {
    const writes: Write[] = [];
    if (this.bulk && this.steps === 30)
      for (let id = 100n; id < 160n; id++) writes.push({ kind: 'put', table: ORDERS.table, row: [id, 'bulk', 'x'.repeat(120_000)] });
    const table = this.random() < 0.5 ? ORDERS.table : ITEMS.table;
    if (this.steps === 25) writes.push({ kind: 'truncate', table: ITEMS.table });
    for (let count = 1 + Math.floor(this.random() * 3); count > 0; count--) writes.push(...this.write(table, writes));
    return writes;
  }

  private write(table: TableId, before: readonly Write[]): readonly Write[] {
    const id = 1 + Math.floor(this.random() * 24);
    if (before.some((write) => write.kind !== 'truncate' && write.row[0] === BigInt(id))) return [];
    const row = this.truncatedNow(table, before) ? undefined : this.db.row(table, this.db.keyOf(table, [BigInt(id), '', '']));
    const name = `step ${this.steps}`;
    const roll = this.random();
    if (row === undefined) return [{ kind: 'put', table, row: [BigInt(id), name, `body of ${name}`] }];
    if (roll < 0.2) return [{ kind: 'delete', table, row }];
    if (roll < 0.6) return [{ kind: 'put', table, row: [row[0], name, row[2]] as Row, untouched: [2] }];
    return [{ kind: 'put', table, row: [BigInt(id), name, `body of ${name}`] }];
  }

  private truncatedNow(table: TableId, before: readonly Write[]): boolean {
    return before.some((write) => write.kind === 'truncate' && write.table === table);
  }
}

function lcg(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 4_294_967_296;
  };
}
