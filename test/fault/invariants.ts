import type { PartitionRecord } from '@nanosync/core';
import { expect } from 'vitest';
import type { Facts } from './facts.ts';

/** What must hold over all lives of a pipeline's process, gathered by looking at its records from outside. */
export class Invariants {
  readonly #l0 = new Map<string, string>();
  /** Attempts of partitions that were already read when a process had ended: they must not begin again. */
  readonly #finished = new Map<string, number>();
  #breaks = 0;

  /** Checks what is stored against what was seen before. `dead`: no process runs, so nothing moves. */
  see({ pipeline, tables }: Facts, dead: boolean): void {
    if (pipeline.anchor !== null) this.#fixed(`anchor ${pipeline.anchor.id}`, pipeline.anchor.l0);
    if (dead) this.#breaks++;
    for (const { record, captured, partitions } of tables) {
      const epoch = `${record.table} ${record.epoch}`;
      if (record.l0 !== null) this.#fixed(epoch, record.l0);
      if (captured !== null) this.#fixed(epoch, captured.l0);
      for (const partition of partitions) this.#partition(`${epoch} ${partition.partition}`, partition, dead);
    }
  }

  /** The source was interrupted: reads that were under way begin again, though the process lives. */
  interrupted(): void {
    this.#breaks++;
  }

  /** Fails when more was repeated than the partitions that were in flight at each death or interruption. */
  repeatedAtMost(facts: Facts, inFlight: number): void {
    const repeated = facts.tables.flatMap(({ partitions }) => partitions.filter(({ attempts }) => attempts > 1));
    expect(repeated.length, 'partitions that were read again').toBeLessThanOrEqual(inFlight * this.#breaks);
  }

  #fixed(what: string, l0: string): void {
    const before = this.#l0.get(what);
    if (before === undefined) this.#l0.set(what, l0);
    else expect(l0, `L0 of ${what}`).toBe(before);
  }

  #partition(name: string, { phase, attempts }: PartitionRecord, dead: boolean): void {
    const before = this.#finished.get(name);
    if (before !== undefined) expect(attempts, `attempts at partition ${name}, which had been read`).toBe(before);
    else if (dead && (phase === 'read' || phase === 'durable')) this.#finished.set(name, attempts);
  }
}
