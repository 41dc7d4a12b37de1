import { quoteName } from './canonical.ts';
import { openSink, type SinkFile } from './sink-table.ts';

/** How a sink is spoiled on purpose. */
export type Tampering = 'cell' | 'drop' | 'double';

/**
 * Spoils one row of a table that has an integer `id` and a text `description`, in the middle of its keys: changes one letter,
 * drops the row or doubles it. Returns what a comparison must say about it.
 */
export async function tamper(file: string, table: string, how: Tampering | string): Promise<string> {
  const sink = await openSink(file, 'READ_WRITE');
  try {
    const target = await physicalTable(sink, table);
    const id = String((await one(sink, `SELECT CAST(quantile_disc(id, 0.5) AS VARCHAR) FROM ${target}`)) ?? '');
    const where = `${table} (id=${id})`;
    switch (how) {
      case 'cell':
        await sink.connection.run(
          `UPDATE ${target} SET description = overlay_letter FROM (SELECT id AS spoiled, left(description, 99) ||
             CASE substr(description, 100, 1) WHEN 'x' THEN 'y' ELSE 'x' END || substr(description, 101) AS overlay_letter
           FROM ${target} WHERE id = ${id}) WHERE id = spoiled`,
        );
        return `${where}: differs in description`;
      case 'drop':
        await sink.connection.run(`DELETE FROM ${target} WHERE id = ${id}`);
        return `${where}: missing at the sink`;
      case 'double':
        await sink.connection.run(`INSERT INTO ${target} SELECT * FROM ${target} WHERE id = ${id}`);
        return `${where}: extra at the sink`;
      default:
        throw new Error(`nothing is spoiled by ${how}`);
    }
  } finally {
    sink.close();
  }
}

/** The table itself, where the sink shows users a view of it. */
async function physicalTable(sink: SinkFile, table: string): Promise<string> {
  const [schema = '', name = ''] = table.split('.');
  const view = await one(sink, `SELECT sql FROM duckdb_views() WHERE schema_name = '${schema}' AND view_name = '${name}'`);
  const from = view === undefined ? undefined : /\bFROM\s+((?:"[^"]+"|[\w.])+)/i.exec(String(view))?.[1];
  return from ?? `${quoteName(schema)}.${quoteName(name)}`;
}

async function one(sink: SinkFile, query: string): Promise<unknown> {
  return (await sink.connection.runAndReadAll(query)).getRows()[0]?.[0];
}
