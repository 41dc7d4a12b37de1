import type { OutMessage, Position, TableId } from '@nanosync/core';
import {
  ChangeCodec,
  CONTROL_EVENT,
  comparePositions,
  decodeMessage,
  parsePosition,
  positionOf,
  schemaIdOf,
  sectionsOf,
} from '@nanosync/core';
import type { ModelDatabase } from './model/database.ts';

/** Behind every place of a log. */
const NOWHERE = positionOf(0xffff_ffff_ffff_ffffn, 0n);

/** The positions of changes of one epoch that capture has published, by the place of their commit. */
type Published = Map<bigint, Set<Position>>;

/** Watches what is sent to the change topics, and what the source is told to forget: nothing before it is on the bus. */
export class BusOracle {
  private readonly db: ModelDatabase;
  private readonly schemaOf: (id: number) => string;
  private readonly tableOf: (topic: string) => TableId | undefined;
  private readonly epochsOf: (slot: string, table: TableId) => readonly string[];
  private readonly endOf: (epoch: string) => Position | undefined;
  private readonly columnsOf: (table: TableId) => number;
  private readonly columns = new Map<string, number>();
  private readonly violated: (what: string) => void;
  private readonly codecs = new Map<number, ChangeCodec | null>();
  /** By epoch: what belongs to one anchor says nothing of another. */
  private readonly published = new Map<string, Published>();
  private readonly l0s = new Map<string, Position>();
  private readonly l1s = new Map<string, Position>();
  private readonly sessions = new Map<string, { session: number; position: Position }>();
  /** By slot: commits below have been looked at. */
  private readonly checked = new Map<string, bigint>();

  constructor(parts: {
    readonly db: ModelDatabase;
    readonly schemaOf: (id: number) => string;
    readonly tableOf: (topic: string) => TableId | undefined;
    /** The epoch that a table has under the anchor of a slot, and the one that goes on beside it. */
    readonly epochsOf: (slot: string, table: TableId) => readonly string[];
    /** Where an epoch ends whose table is being taken out. */
    readonly endOf: (epoch: string) => Position | undefined;
    /** How many columns a table was last seen to have. */
    readonly columnsOf: (table: TableId) => number;
    readonly violated: (what: string) => void;
  }) {
    this.db = parts.db;
    this.schemaOf = parts.schemaOf;
    this.tableOf = parts.tableOf;
    this.epochsOf = parts.epochsOf;
    this.endOf = parts.endOf;
    this.columnsOf = parts.columnsOf;
    this.violated = parts.violated;
  }

  /** L1 of an epoch, once it is on the bus. */
  l1Of(epoch: string): Position | undefined {
    return this.l1s.get(epoch);
  }

  /** L0 of an epoch, once it is on the bus. */
  l0Of(epoch: string): Position | undefined {
    return this.l0s.get(epoch);
  }

  /** Messages that the bus has taken. */
  sent(topic: string, partition: number, messages: readonly OutMessage[]): void {
    const table = this.tableOf(topic);
    if (table === undefined) return;
    for (const { value } of messages) {
      const codec = this.codecOf(schemaIdOf(value));
      if (codec === null) {
        const event = decodeMessage(CONTROL_EVENT, value);
        const position = parsePosition(event.position);
        this.inOrder(topic, partition, event.session, position);
        if (event.kind === 'generation') this.generation(table, event.epoch, position);
        if (event.kind === 'consistency' && !this.l1s.has(event.epoch)) this.l1s.set(event.epoch, position);
      } else {
        const { session, position, epoch } = codec.decode(value);
        this.keptBack(table, epoch, codec.schema.columns.length);
        this.inOrder(topic, partition, session, position);
        const lsn = sectionsOf(position)[0] as bigint;
        const positions = this.published.get(epoch) ?? new Map<bigint, Set<Position>>();
        this.published.set(epoch, positions);
        const known = positions.get(lsn);
        if (known === undefined) positions.set(lsn, new Set([position]));
        else known.add(position);
      }
    }
  }

  /** The source may forget every commit below this place, as far as this slot keeps it. */
  confirmed(lsn: bigint, slot: string): void {
    const checked = this.checked.get(slot) ?? 0n;
    for (const { lsn: commit, writes } of this.db.log) {
      if (commit < checked || commit >= lsn) continue;
      for (const table of new Set(writes.map((write) => write.table))) {
        // What comes before the generation events of the epochs that the table has is for no generation.
        const epochs = this.epochsOf(slot, table);
        const isFor = (epoch: string) =>
          commit >= (sectionsOf(this.l0s.get(epoch) ?? NOWHERE)[0] as bigint) &&
          commit < (sectionsOf(this.endOf(epoch) ?? NOWHERE)[0] as bigint);
        if (!epochs.some(isFor)) continue;
        const wanted = writes.filter((write) => write.table === table).length;
        const found = new Set(epochs.flatMap((epoch) => [...(this.published.get(epoch)?.get(commit) ?? [])])).size;
        if (found < wanted) this.violated(`the source was told to forget ${wanted} changes of ${table} when ${found} were on the bus`);
      }
    }
    if (lsn > checked) this.checked.set(slot, lsn);
  }

  private codecOf(id: number): ChangeCodec | null {
    let codec = this.codecs.get(id);
    if (codec === undefined) {
      const schema = this.schemaOf(id);
      codec = schema === CONTROL_EVENT.schema ? null : ChangeCodec.fromAvro(schema);
      this.codecs.set(id, codec);
    }
    return codec;
  }

  private inOrder(topic: string, partition: number, session: number, position: Position): void {
    const key = `${topic}/${partition}/${session}`;
    const before = this.sessions.get(key);
    if (before !== undefined && comparePositions(position, before.position) < 0)
      this.violated(`session ${session} went back on partition ${partition} of ${topic}`);
    this.sessions.set(key, { session, position });
  }

  /** A column that changes of an epoch were published without does not come again, unless it is wanted by now. */
  private keptBack(table: TableId, epoch: string, columns: number): void {
    const least = this.columns.get(epoch) ?? columns;
    this.columns.set(epoch, Math.min(least, columns));
    if (columns > least && columns > this.columnsOf(table))
      this.violated(`a change of ${table} was published with a column that was kept back before under epoch ${epoch}`);
  }

  private generation(table: TableId, epoch: string, position: Position): void {
    const before = this.l0s.get(epoch);
    if (before !== undefined && before !== position) this.violated(`L0 of epoch ${epoch} of ${table} moved on the bus`);
    this.l0s.set(epoch, position);
  }
}
