import { cellText, describeSink, memoryWarehouse, ORDERS } from './index.ts';

describeSink('memory', async () => {
  const warehouse = memoryWarehouse();
  return {
    open: async () => warehouse.open(),
    read: async (table) => {
      const rows = warehouse.read(table)?.map((row) => ORDERS.columns.map((column, index) => cellText(column.type, row[index] ?? null)));
      return rows?.sort((a, b) => Number(a[0]) - Number(b[0]));
    },
    occupy: async (table) => warehouse.occupy(table),
    fill: async (rows) => warehouse.fill(ORDERS, rows),
    [Symbol.asyncDispose]: async () => undefined,
  };
});
