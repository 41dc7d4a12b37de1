import type { Row, SourceView, TableId } from '@nanosync/core';
import { PipelineError, positionOf } from '@nanosync/core';
import type { ModelDatabase } from './database.ts';
import type { Snapshot } from './table.ts';

/** Views of a model: those that are held, and what was seen in every one that ever was. */
export class ModelViews {
  private readonly held = new Map<string, Snapshot>();
  private readonly seen = new Map<string, ReadonlyMap<TableId, readonly Row[]>>();

  /** The snapshots that readers may still come to want. */
  get snapshots(): readonly Snapshot[] {
    return [...this.held.values()];
  }

  /** The snapshot of a view that is held. */
  of(id: string): Snapshot | undefined {
    return this.held.get(id);
  }

  /** What a table held in a view that was opened at some time. */
  rowsOf(id: string, table: TableId): readonly Row[] | undefined {
    return this.seen.get(id)?.get(table);
  }

  /** Somebody ends every session that holds a view. */
  loseAll(): void {
    this.held.clear();
  }

  open(db: ModelDatabase, connection: AbortSignal): SourceView {
    db.reach();
    const id = `view ${this.seen.size + 1}`;
    const position = positionOf(db.end, 0n);
    const snapshot = db.snapshot();
    this.held.set(id, snapshot);
    this.seen.set(id, new Map(db.tableIds().map((table) => [table, db.table(table).visible(snapshot)])));
    const end = () => void this.held.delete(id);
    connection.addEventListener('abort', end, { once: true });
    return {
      id,
      position,
      check: async () => {
        db.reach();
        if (!this.held.has(id)) throw new PipelineError('unavailable', 'The model closed the connection.');
      },
      [Symbol.asyncDispose]: async () => {
        connection.removeEventListener('abort', end);
        end();
      },
    };
  }
}
