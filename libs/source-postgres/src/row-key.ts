import type { Cell } from '@nanosync/core';
import { PipelineError, UNCHANGED } from '@nanosync/core';
import { CellTextError } from './cell-text-error.ts';
import type { TablePlan } from './table-plan.ts';
import { readTexts } from './table-plan.ts';

/** Throws CellTextError when the row's key is not whole: it cannot be told apart from others. */
export function requireKey(plan: TablePlan, row: readonly Cell[]): void {
  for (const at of plan.keyAt) {
    const cell = row[at];
    if (cell === null || cell === UNCHANGED) throw new CellTextError(`key column ${plan.schema.columns[at]?.name} has no value in the log`);
  }
}

/** A full old row has every unchanged cell, an old key those of the key: a large key column is left out of the new row, too. */
export function fillUnchanged(plan: TablePlan, after: Cell[], before: readonly Cell[], full: boolean): void {
  for (let index = 0; index < after.length; index++)
    if (after[index] === UNCHANGED && (full || plan.keyAt.includes(index))) after[index] = before[index] as Cell;
}

/** The key of the new row as the stream spells it; a large key column is spelled by the old row alone. */
export function keyTexts(plan: TablePlan, bytes: Buffer, newAt: number, oldAt: number): string[] {
  const now = readTexts(bytes, newAt);
  const old = oldAt < 0 ? [] : readTexts(bytes, oldAt);
  return plan.keyAt.map((at) => {
    const place = plan.placeOf.indexOf(at);
    return now[place] ?? old[place] ?? missingKey(plan);
  });
}

function missingKey(plan: TablePlan): never {
  throw new PipelineError('defect', `a change of ${plan.table} has a key without text`);
}
