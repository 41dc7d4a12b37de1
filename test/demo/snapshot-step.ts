import type { DemoContext } from './demo-context.ts';
import { watch } from './demo-context.ts';
import { targetRows } from './demo-options.ts';
import type { Progress, TableProgress } from './progress.ts';
import { lsnOf } from './progress.ts';
import { type BarLine, barOf, count } from './screen.ts';
import { SHOP } from './shop.ts';

/** Of the snapshot's partitions, the part that is read when the pipeline is killed. */
const KILL_AT = 0.4;

/** What the snapshot step saw from outside. */
export interface SnapshotSeen {
  readonly killed: boolean;
  /** Changes that the writers committed while their table was partly read. */
  readonly whilePartlyRead: number;
}

/** Watches the snapshot until every table is built, killing the pipeline on the way unless that was declined. */
export async function watchSnapshot(context: DemoContext): Promise<SnapshotSeen> {
  const { screen, options } = context;
  const meter = new Meter(context);
  let killed = false;
  let shownL0 = false;
  await watch(
    context,
    'the snapshot',
    async (progress) => {
      if (progress.anchor !== null && !shownL0) {
        shownL0 = true;
        screen.detail(`L0 = ${lsnOf(progress.anchor.l0)}: every commit from here on arrives as a change`);
      }
      screen.bars(meter.look(progress));
      const read = fractionRead(context, progress);
      if (!killed && !options['no-crash'] && read >= KILL_AT && read < 1) {
        killed = true;
        await killAndRestart(context, progress, read);
      }
      return progress.tables.length === context.tables.length && progress.tables.every((table) => table.sink?.built === true);
    },
    20,
  );
  screen.endBars();
  return { killed, whilePartlyRead: meter.whilePartlyRead() };
}

async function killAndRestart(context: DemoContext, progress: Progress, read: number): Promise<void> {
  const { screen, deployment } = context;
  await deployment.killVictim();
  const found = (await context.progress.read()) ?? progress;
  const reading = found.tables.reduce((sum, table) => sum + table.reading, 0);
  screen.step(`Kill ${deployment.victim} with -9 (${Math.round(read * 100)} % read, ${reading} partitions under way) and start it again`);
  await deployment.restartVictim();
}

function fractionRead(context: DemoContext, progress: Progress): number {
  const partitions = context.tables.map((name) => {
    const planned = progress.tables.find(({ table }) => table === name)?.partitions ?? 0;
    const expected = SHOP.find((table) => table.name === name)?.rows(context.options.rows) ?? 0;
    return planned > 0 ? planned : Math.ceil(expected / targetRows(context.options.rows));
  });
  const all = partitions.reduce((sum, each) => sum + each, 0);
  return progress.tables.reduce((sum, table) => sum + table.read, 0) / all;
}

/** Rates of the tables, and what the writers did while a table was partly read. */
class Meter {
  readonly #context: DemoContext;
  readonly #began = new Map<string, number>();
  readonly #rates = new Map<string, number>();
  readonly #done = new Set<string>();
  readonly #partly = new Map<string, { readonly from: number; to: number }>();

  constructor(context: DemoContext) {
    this.#context = context;
  }

  look(progress: Progress): readonly BarLine[] {
    return this.#context.tables.map((name) => {
      const table = progress.tables.find((each) => each.table === name);
      if (table !== undefined) this.#note(table);
      return barLine(name, table, this.#rates.get(name) ?? 0, this.#context.screen.barWidth);
    });
  }

  whilePartlyRead(): number {
    return [...this.#partly.values()].reduce((sum, { from, to }) => sum + to - from, 0);
  }

  #note(table: TableProgress): void {
    if (this.#done.has(table.table)) return;
    if (table.partitions > 0 && table.read >= table.partitions) this.#done.add(table.table);
    const now = performance.now();
    if (table.reading + table.read > 0 && !this.#began.has(table.table)) this.#began.set(table.table, now);
    const seconds = (now - (this.#began.get(table.table) ?? now)) / 1000;
    this.#rates.set(table.table, seconds > 0.01 ? table.rows / seconds : 0);
    if (table.read === 0 || table.read >= table.partitions) return;
    const written = this.#context.writers.written.byTable.get(table.table) ?? 0;
    const partly = this.#partly.get(table.table);
    if (partly === undefined) this.#partly.set(table.table, { from: written, to: written });
    else partly.to = written;
  }
}

function barLine(name: string, table: TableProgress | undefined, rate: number, width: number): BarLine {
  const all = table?.partitions ?? 0;
  const read = table?.read ?? 0;
  const state =
    table === undefined ? 'waiting' : table.sink?.built === true ? 'built' : read > 0 && read === all ? 'building' : table.phase;
  const text = [
    name.padEnd(18),
    barOf(read, all, width),
    `${read}/${all}`.padStart(7),
    `${count(table?.rows ?? 0).padStart(9)} rows`,
    `${count(rate).padStart(7)} rows/s`,
    state,
  ].join(' ');
  return { text, milestone: all === 0 ? '' : `${Math.floor((read * 4) / all)} ${state}` };
}
