import type { Anchor, ChangeReader, FenceWait, Marker, Position, Source, SourceEvent, SourceTable, TableId } from '@nanosync/core';
import { comparePositions, rowOrigin } from '@nanosync/core';
import { Events, rowLine, rowsOf } from './source-scenario-text.ts';

/** The epoch of a mark that says up to where to read. */
const REST = 'rest';

/** What a step led to: a word, or lines. */
export type Outcome = string | readonly string[];

/** The pipeline of one run of a scenario: what it knows of its table, and its stream. */
export class ScenarioPipeline implements AsyncDisposable {
  readonly events = new Events();
  /** True while what lacks cells is to be completed; `consistency`: until that marker was met. */
  complete: boolean | 'consistency' = true;
  /** What the fence waited for when it said so last. */
  waits: readonly FenceWait[] = [];
  /** Keeps a read behind its first rows, with the table's lock in its hands, until the step that ends it. */
  hold: { readonly first: PromiseWithResolvers<void>; readonly end: PromiseWithResolvers<void> } | undefined;
  private readonly source: Source;
  private readonly pipeline: string;
  private readonly table: TableId;
  /** A table that the pipeline takes in later, or never. */
  private readonly other: TableId;
  private extended: SourceTable | undefined;
  /** Where its generation marker is, once it was met. */
  private generation: Position | undefined;
  private readonly stopping = new AbortController();
  private planned: SourceTable | undefined;
  private ranges: readonly string[] = [];
  private anchor: Anchor | undefined;
  private reader: ChangeReader | undefined;
  /** Commits of our own marks, which are not written down; they come again. */
  private readonly marks = new Set<Position>();
  /** Delivered and not written down yet. */
  private pending: SourceEvent[] = [];

  constructor(source: Source, pipeline: string, table: TableId, other: TableId) {
    this.source = source;
    this.pipeline = pipeline;
    this.table = table;
    this.other = other;
  }

  acknowledge(place: string): void {
    this.reader?.acknowledge(this.events.place(place));
  }

  async fence(): Promise<void> {
    await this.source.fence(this.waiting());
  }

  /** Takes the other table in: streams that open later know it. */
  async extend(): Promise<void> {
    await this.source.extend(this.pipeline, [this.other], this.waiting());
    [this.extended] = await this.source.discover([this.other]);
  }

  private waiting() {
    this.waits = [];
    const onWait = (waits: readonly FenceWait[]) => {
      this.waits = waits;
    };
    return { signal: this.stopping.signal, onWait };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopping.abort();
    this.hold?.end.resolve();
    await this.close();
  }

  async discover(): Promise<void> {
    [this.planned] = await this.source.discover([this.table]);
  }

  async plan(rows: string): Promise<Outcome> {
    const table = this.planned as SourceTable;
    const options = { targetRows: Number(rows) || 10, whole: rows === 'whole' };
    this.ranges = await this.source.partition(table, options);
    return rows === 'any' ? 'done' : `${this.ranges.length} ranges`;
  }

  async makeAnchor(): Promise<Outcome> {
    this.anchor = await this.source.anchor(this.pipeline, 'a', [this.table]);
    this.events.l0 = this.anchor.l0;
    return 'done';
  }

  /** All planned ranges, one (`0`), or those from one on (`1-`). */
  async read(which: string | undefined): Promise<Outcome> {
    const table = this.planned as SourceTable;
    const [from, open] = (which ?? '0-').split('-');
    const ranges = open === undefined ? this.ranges.slice(Number(from), Number(from) + 1) : this.ranges.slice(Number(from));
    const rows: ReturnType<typeof rowsOf> = [];
    const options = { targetBytes: 1 << 20, origin: rowOrigin(0, 'a'), signal: this.stopping.signal };
    for (const range of ranges)
      for await (const output of this.source.readRange(table, range, options)) {
        rows.push(...rowsOf(table, output));
        this.hold?.first.resolve();
        await this.hold?.end.promise;
      }
    this.hold = undefined;
    return rows.toSorted((a, b) => Number(a[0]) - Number(b[0])).map(rowLine);
  }

  mark(kind: string): Promise<void> {
    const { pipeline, table, source } = this;
    if (kind === 'watermark') return source.mark({ kind, pipeline });
    if (kind === 'other') return source.mark({ kind: 'watermark', pipeline: 'another' });
    return source.mark({ kind: kind as 'generation' | 'consistency', pipeline, table, epoch: 'e' });
  }

  async verify(published: string): Promise<Outcome> {
    const place = published === '' ? null : this.events.place(published);
    await this.source.verify(this.pipeline, this.anchor as Anchor, place);
    return 'done';
  }

  async open(from: string): Promise<Outcome> {
    const anchor = this.anchor as Anchor;
    const place = from === '' ? anchor.l0 : this.events.place(from);
    const reader = await this.source.changes({
      pipeline: this.pipeline,
      anchor,
      from: place,
      tables: [this.planned as SourceTable, ...(this.extended === undefined ? [] : [this.extended])],
      complete: () => this.complete !== false,
      begun: (table, at) => table !== this.other || (this.generation !== undefined && comparePositions(this.generation, at) <= 0),
      signal: this.stopping.signal,
    });
    this.reader = reader;
    return 'done';
  }

  async close(): Promise<void> {
    await this.reader?.[Symbol.asyncDispose]();
    this.reader = undefined;
    this.pending = [];
  }

  /** Everything up to and with so many commits from here. */
  async stream(commits: number): Promise<Outcome> {
    const lines: string[] = [];
    for (let seen = 0; seen < commits; ) {
      if (this.pending.length === 0) this.pending = [...(await this.next())];
      const event = this.pending.shift();
      if (event === undefined || event.kind === 'idle') continue;
      lines.push(this.events.line(event, this.other));
      if (event.kind === 'commit') seen++;
    }
    return lines;
  }

  /** Everything that is committed by now. */
  async rest(): Promise<Outcome> {
    const lines: string[] = [];
    await this.source.mark({ kind: 'generation', pipeline: this.pipeline, table: this.table, epoch: REST });
    for (let found = false; ; ) {
      if (this.pending.length === 0) this.pending = [...(await this.next())];
      const event = this.pending.shift();
      if (event === undefined || event.kind === 'idle') continue;
      if (event.kind === 'marker' && event.marker.kind === 'generation' && event.marker.epoch === REST) found = true;
      else if (event.kind !== 'commit' || !found) lines.push(this.events.line(event, this.other));
      else if (!this.marks.has(event.acknowledge)) {
        this.marks.add(event.acknowledge);
        return lines;
      } else found = false;
    }
  }

  /** The end of the log, told when nothing is in flight. */
  async idle(): Promise<Outcome> {
    for (;;) {
      const event = this.pending.shift();
      if (event === undefined) this.pending = [...(await this.next())];
      else if (event.kind !== 'idle') return 'not idle';
      else {
        this.events.idle = event.position;
        if (this.events.isBehindAll(event.position)) return 'done';
      }
    }
  }

  private async next(): Promise<readonly SourceEvent[]> {
    const events = await this.reader?.next();
    if (events === undefined) throw new Error('the scenario has no stream, or ended it');
    for (const event of events) if (event.kind === 'marker') this.met(event.marker, event.position);
    return events;
  }

  /** What capture does when it meets a marker. */
  private met(marker: Marker, position: Position): void {
    if (marker.kind === 'consistency' && this.complete === 'consistency') this.complete = false;
    if (marker.kind !== 'generation' || marker.epoch === REST) return;
    this.generation ??= position;
  }
}
