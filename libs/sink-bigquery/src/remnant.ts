import type { TableId } from '@nanosync/core';
import { physicalName, viewName } from './names.ts';
import { text } from './sql.ts';
import type { Warehouse } from './warehouse.ts';

/** True when the view of a table's name shows a generation that is gone. */
export async function isRemnant(warehouse: Warehouse, table: TableId): Promise<boolean> {
  const definition = await warehouse.viewDefinition(viewName(table));
  if (definition === undefined) return false;
  const jobs = await warehouse.jobs();
  const gone = await jobs.query(
    `SELECT DISTINCT pipeline, epoch FROM ${warehouse.meta('generations')} WHERE tbl = ${text(table)} AND event = 'gone'`,
  );
  return gone.some(({ pipeline, epoch }) => definition.includes(physicalName({ pipeline: String(pipeline), table, epoch: String(epoch) })));
}
