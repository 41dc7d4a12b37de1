import type { GenerationId, Position, Row, Sink, TableId } from '@nanosync/core';
import { comparePositions } from '@nanosync/core';
import type { Versions } from './versions.ts';

/** What the sink's steps are compared with. */
export interface SinkOracleParts {
  readonly versions: Versions;
  /** What users see of a table. */
  readonly read: (table: TableId) => readonly Row[] | undefined;
  /** The rows of a table that somebody else made. */
  readonly filled: (table: TableId) => readonly Row[] | undefined;
  readonly l0Of: (epoch: string) => Position | undefined;
  readonly l1Of: (epoch: string) => Position | undefined;
  readonly violated: (what: string) => void;
  /** Told when what users see gets changes although the table has a newer epoch, which is copied beside it. */
  readonly fedBeside: (generation: GenerationId) => void;
  readonly isQuery: boolean;
  /** Of a query whose result takes the place of all rows: whether a run had this one. */
  readonly isResult?: ((rows: readonly Row[]) => boolean) | undefined;
  /** Told of each step that writes. */
  readonly wrote: (what: string) => void;
  /** An update that lacks a column of a row that is gone may be published as its delete. */
  readonly isUnbased: () => boolean;
}

/** Watches the warehouse after every step: progress never goes back, and nothing that users see does once a table is live. */
export class SinkOracle {
  private readonly parts: SinkOracleParts;
  private readonly progress = new Map<string, Position>();
  private readonly live = new Set<TableId>();
  private readonly built = new Map<string, number>();
  /** What users saw before an epoch that adopts was made: a late request of one that is there says nothing. */
  readonly beganWith = new Map<string, readonly Row[]>();
  private readonly kept = new Map<TableId, string>();
  private readonly shortened = new Set<string>();
  private mayGoEarly = false;

  constructor(parts: SinkOracleParts) {
    this.parts = parts;
  }

  /** The warehouse is another one: everything may begin again. */
  lost(): void {
    this.progress.clear();
    this.built.clear();
    this.parts.versions.forget();
    this.live.clear();
    this.kept.clear();
  }

  /** A table was taken out: what users see of it stays as it is. */
  leftAs(table: TableId, rows: readonly Row[] | undefined): void {
    this.kept.set(table, JSON.stringify(rows?.map((row) => row.map(String)) ?? null));
  }

  /** Says whether what users see of a table that was taken out is what it was then. */
  isAsLeft(table: TableId): boolean {
    const kept = this.kept.get(table);
    return kept === undefined || kept === JSON.stringify(this.parts.read(table)?.map((row) => row.map(String)) ?? null);
  }

  /** A sink whose steps are watched where they happen, while its warehouse is the one that users see. */
  watching(sink: Sink, isSeen: () => boolean): Sink {
    const look = async (generation: GenerationId) => {
      if (isSeen()) await this.look(sink, generation);
    };
    const { wrote } = this.parts;
    return {
      ...sink,
      stage: (request) => {
        wrote('stage');
        return sink.stage(request);
      },
      build: async (request) => {
        wrote('build');
        const { epoch, table } = request.generation;
        const stored = this.parts.l0Of(epoch);
        if (stored !== undefined && stored !== request.l0) this.parts.violated(`epoch ${epoch} of ${table} is built with another L0`);
        const built = await sink.build(request);
        await look(request.generation);
        return built;
      },
      adopt: async (request) => {
        wrote('build');
        const { epoch, table } = request.generation;
        if (isSeen() && (await sink.generation(request.generation)) === undefined)
          this.beganWith.set(epoch, this.parts.filled(table) ?? this.parts.read(table) ?? []);
        const adopted = await sink.adopt(request);
        await look(request.generation);
        return adopted;
      },
      merge: async (request) => {
        wrote('merge');
        const merged = await sink.merge(request);
        await look(request.generation);
        return merged;
      },
      apply: async (request) => {
        wrote('apply');
        const applied = await sink.apply(request);
        if (applied.applied > 0) this.parts.fedBeside(request.generation);
        await look(request.generation);
        return applied;
      },
      switchTo: async (generation) => {
        wrote('switchTo');
        const shown = await sink.switchTo(generation);
        await look(generation);
        return shown;
      },
    };
  }

  /** Users see a result that was read, whole, or nothing. */
  private lookAtResult(table: TableId): void {
    const rows = this.parts.read(table);
    if (rows !== undefined && this.parts.isResult !== undefined && !this.parts.isResult(rows))
      this.parts.violated(`${table} shows a result that no run had`);
  }

  private async look(sink: Sink, id: GenerationId): Promise<void> {
    const status = await sink.generation(id);
    if (status === undefined) return;
    for (const { busPartition, last, next } of status.progress) {
      const place = `${id.epoch}/${busPartition}`;
      const before = this.progress.get(place);
      if (before !== undefined && comparePositions(last, before) < 0) this.parts.violated(`progress of ${id.table} went back at the sink`);
      if ((this.built.get(place) ?? 0) > next) this.parts.violated(`the offset of ${id.table} went back at the sink`);
      this.progress.set(place, last);
      this.built.set(place, next);
    }
    if (!status.current) return;
    this.lookAtResult(id.table);
    if (this.parts.isQuery) this.live.add(id.table); // Each result is of a later moment.
    const l1 = this.parts.l1Of(id.epoch);
    if (l1 !== undefined && status.progress.every(({ last }) => comparePositions(last, l1) >= 0)) this.live.add(id.table);
    // What users saw before goes with a switch to a copy that was stopped: they were asked.
    if (status.without !== undefined && !this.shortened.has(id.epoch)) this.parts.versions.forgetTable(id.table);
    if (status.without !== undefined) this.shortened.add(id.epoch);
    this.mayGoEarly ||= this.beganWith.has(id.epoch) || this.parts.isUnbased();
    const rows = this.parts.read(id.table) ?? [];
    for (const wrong of this.parts.versions.look(id.table, rows, {
      isLive: this.live.has(id.table),
      mayGoEarly: this.mayGoEarly,
    }))
      this.parts.violated(wrong);
  }
}
