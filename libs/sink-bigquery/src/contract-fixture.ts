import type { ColumnType } from '@nanosync/core';
import { formatDecimal, parseDecimal } from '@nanosync/core';
import type { SinkHarness } from '@nanosync/testkit';
import { ORDERS, orderText } from '@nanosync/testkit';
import { sqlTypeOf } from './column-types.ts';
import { scratch, viewOf } from './test-support.ts';

const AMOUNT = ORDERS.columns.findIndex(({ name }) => name === 'amount');

/** A dataset of its own for a test of the contract. */
export async function contractHarness(): Promise<SinkHarness> {
  const warehouse = await scratch();
  const cellSql = (type: ColumnType, text: string | null) =>
    text === null ? 'NULL' : `CAST('${text.replaceAll("'", "\\'")}' AS ${sqlTypeOf(type)})`;
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
    fill: async (rows) => {
      const name = warehouse.table(viewOf(ORDERS.table));
      await warehouse.run(`CREATE TABLE ${name} (${ORDERS.columns.map((one) => `${one.name} ${sqlTypeOf(one.type)}`).join(', ')})`);
      for (const row of rows) {
        const cells = orderText(row).map((text, index) => cellSql(ORDERS.columns[index]?.type as ColumnType, text));
        await warehouse.run(`INSERT INTO ${name} VALUES (${cells.join(', ')})`);
      }
    },
    [Symbol.asyncDispose]: () => warehouse[Symbol.asyncDispose](),
  };
}

/** NUMERIC as BigQuery prints it, with or without zeros behind, as the suite writes it. */
function money(text: string | null | undefined): string | null {
  return text === null || text === undefined ? null : formatDecimal(parseDecimal(text.replace(/(\.\d\d)0+$/, '$1'), 2), 2);
}
