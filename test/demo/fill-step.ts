import { connect } from './connect.ts';
import { bytes, count, type Screen } from './screen.ts';
import { fillTable, SHOP, tableBytes } from './shop.ts';

/** Fills the shop, the wide table on one connection, the others on another: there are at least two cores. */
export async function fillShop(dsn: string, rows: number, screen: Screen): Promise<void> {
  const [wide, ...others] = SHOP;
  const fill = async (tables: readonly (typeof SHOP)[number][]) => {
    const client = await connect(dsn);
    try {
      for (const table of tables) {
        const filled = await fillTable(client, table, rows);
        screen.detail(
          `${table.name.padEnd(19)}${count(filled).padStart(11)} rows  ${bytes(await tableBytes(client, table.name)).padStart(9)}`,
        );
      }
    } finally {
      await client.end();
    }
  };
  await Promise.all([fill(wide === undefined ? [] : [wide]), fill(others)]);
}
