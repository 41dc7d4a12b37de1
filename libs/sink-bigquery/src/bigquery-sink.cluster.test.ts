import { formatDecimal, parseDecimal } from '@nanosync/core';
import { describeSink, ORDERS } from '@nanosync/testkit';
import { scratch, viewOf } from './test-support.ts';

const AMOUNT = ORDERS.columns.findIndex(({ name }) => name === 'amount');

describeSink(
  'bigquery',
  async () => {
    const warehouse = await scratch();
    return {
      open: warehouse.open,
      read: async (table) => {
        const known = await warehouse.query(
          `SELECT 1 FROM \`${warehouse.options.project}.${warehouse.options.dataset}\`.INFORMATION_SCHEMA.VIEWS WHERE table_name = '${viewOf(table)}'`,
        );
        if (known.length === 0) return undefined;
        const columns = ORDERS.columns.map(({ name }) => `CAST(${name} AS STRING) AS ${name}`);
        const rows = await warehouse.query(`SELECT ${columns.join(', ')} FROM ${warehouse.table(viewOf(table))} AS t ORDER BY t.id`);
        return rows.map((row) => ORDERS.columns.map(({ name }, index) => (index === AMOUNT ? money(row[name]) : (row[name] ?? null))));
      },
      occupy: async (table) => {
        await warehouse.run(`CREATE TABLE ${warehouse.table(viewOf(table))} (x INT64)`);
      },
      [Symbol.asyncDispose]: () => warehouse[Symbol.asyncDispose](),
    };
  },
  { histories: 1 },
);

/** NUMERIC as BigQuery prints it, with or without zeros behind, as the suite writes it. */
function money(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : formatDecimal(parseDecimal(text.replace(/(\.\d\d)0+$/, '$1'), 2), 2);
}
