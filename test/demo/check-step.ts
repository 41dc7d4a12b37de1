import type { TableComparison } from '../compare/compare-table.ts';
import { compareTable } from '../compare/compare-table.ts';
import type { Warehouse } from '../compare/sink-end.ts';
import { connectSource } from '../compare/source-table.ts';
import { tamper } from '../compare/tamper.ts';
import type { DemoContext } from './demo-context.ts';
import { count } from './screen.ts';

/** The table whose copy is spoiled: one letter of a large text is the hardest to find. */
const SPOILED = 'public.products';

/** Compares all tables, printing a line for each and naming the first differences. */
export async function compareAll(context: DemoContext): Promise<readonly TableComparison[]> {
  const { screen, tables, options } = context;
  const { warehouse } = context.deployment;
  if (options.tamper !== undefined) screen.detail(`(as asked: ${await tamper(warehouse, SPOILED, options.tamper)})`);
  const results: TableComparison[] = [];
  for (const table of tables) {
    const result = await compareIn(context, warehouse, table);
    results.push(result);
    const wrong = result.missing + result.extra + result.different;
    const verdict = wrong === 0 ? 'all equal' : `${result.missing} missing, ${result.extra} extra, ${result.different} different`;
    screen.detail(
      `${table.padEnd(19)}source ${count(result.sourceRows).padStart(10)}  sink ${count(result.sinkRows).padStart(10)}  ${verdict}`,
    );
    for (const finding of result.findings) screen.detail(`  ${finding}`);
  }
  return results;
}

/** Spoils one cell in a copy and compares it: true when exactly that is found and named. */
export async function selfCheck(context: DemoContext, before: readonly TableComparison[]): Promise<boolean> {
  await using copy = await context.deployment.warehouse.copyOf(SPOILED);
  const spoiled = await tamper(copy, SPOILED, 'cell');
  const result = await compareIn(context, copy, SPOILED);
  const clean = before.find(({ table }) => table === SPOILED);
  const found = result.different === (clean?.different ?? 0) + 1 && result.findings.includes(spoiled);
  context.screen.detail(found ? `one cell spoiled in a copy was found: ${spoiled}` : `a spoiled cell was NOT found: ${spoiled}`);
  return found;
}

async function compareIn(context: DemoContext, warehouse: Warehouse, table: string): Promise<TableComparison> {
  const client = await connectSource(context.dsn);
  try {
    await using sink = await warehouse.open();
    return await compareTable(client, sink, table, { signal: context.signal });
  } finally {
    await client.end();
  }
}
