import type { Warehouse } from './sink-end.ts';

/** How a sink is spoiled on purpose. */
export type Tampering = 'cell' | 'drop' | 'double';

/**
 * Spoils one row of a table that has an integer `id` and a text `description`, in the middle of its keys: changes one letter,
 * drops the row or doubles it. Returns what a comparison must say about it. The SQL is what all warehouses know.
 */
export async function tamper(warehouse: Warehouse, table: string, how: Tampering | string): Promise<string> {
  const rows = Number(await warehouse.look(table, (target) => `SELECT COUNT(*) FROM ${target}`));
  const id = await warehouse.look(table, (target) => `SELECT id FROM ${target} ORDER BY id LIMIT 1 OFFSET ${Math.floor(rows / 2)}`);
  const where = `${table} (id=${id})`;
  switch (how) {
    case 'cell':
      await warehouse.change(
        table,
        (target) => `UPDATE ${target} SET description = CONCAT(SUBSTR(description, 1, 99),
          CASE SUBSTR(description, 100, 1) WHEN 'x' THEN 'y' ELSE 'x' END, SUBSTR(description, 101)) WHERE id = ${id}`,
      );
      return `${where}: differs in description`;
    case 'drop':
      await warehouse.change(table, (target) => `DELETE FROM ${target} WHERE id = ${id}`);
      return `${where}: missing at the sink`;
    case 'double':
      await warehouse.change(table, (target) => `INSERT INTO ${target} SELECT * FROM ${target} WHERE id = ${id}`);
      return `${where}: extra at the sink`;
    default:
      throw new Error(`nothing is spoiled by ${how}`);
  }
}
