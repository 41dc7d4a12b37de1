import { PipelineError } from '@nanosync/core';
import type { Client, Connection, Submittable } from 'pg';
import type { StoredColumn } from './storage.ts';
import { columnTypeOf } from './type-map.ts';

/** A column of a result as the server describes it. */
export type ResultColumn = Pick<StoredColumn, 'name' | 'typeOid' | 'typmod'>;

/** A statement of a user as something to select from. Its last line may be a comment. */
export function asTable(statement: string): string {
  return `(\n${statement.replace(/[\s;]+$/, '')}\n) AS nanosync_query`;
}

/**
 * The columns that a statement yields, without running it. The server parses it alone, as one statement, so what is one with our own text around
 * it is one without it; then as something to select from, which only a query that reads can be. Throws the server's errors, and PipelineError
 * `prerequisite` for a result that cannot be a table.
 */
export async function describeStatement(client: Client, statement: string): Promise<readonly StoredColumn[]> {
  const { parameters } = await describe(client, statement);
  if (parameters > 0) throw unfit('The query has parameters ($1), which nothing fills.', 'Write the values into it.');
  const { columns } = await describe(client, `SELECT * FROM ${asTable(statement)}`);
  if (columns.length === 0) throw unfit('The query yields no column.', 'Name the columns that the table is to have.');
  const seen = new Set<string>();
  for (const { name } of columns) {
    if (name === '?column?') throw unfit('A column of the query has no name.', 'Give it one: AS name.');
    if (seen.has(name)) throw unfit(`Two columns of the query are named ${name}.`, 'Give each a name of its own: AS name.');
    seen.add(name);
  }
  return columns.map((column, index) => ({ ...column, attnum: index + 1, type: columnTypeOf(column.typeOid, column.typmod) }));
}

function unfit(what: string, cure: string): PipelineError {
  return new PipelineError('prerequisite', what, { hint: cure });
}

/** What the server says of a statement. */
interface Description {
  readonly columns: readonly ResultColumn[];
  readonly parameters: number;
}

/** A row description as the driver hands it over, as far as we look. */
interface RowDescription {
  readonly fields: readonly { readonly name: string; readonly dataTypeID: number; readonly dataTypeModifier: number }[];
}

/** The driver's connection knows more than its types say. */
type Wire = Connection & { describe(what: { readonly type: 'S'; readonly name: string }): void };

/** Parses a statement at the server and asks what it is: the driver itself describes only what it also runs. */
function describe(client: Client, text: string): Promise<Description> {
  return new Promise((resolve, reject) => {
    let columns: readonly ResultColumn[] = [];
    let parameters = 0;
    const onParameters = (message: { readonly parameterCount: number }) => {
      parameters = message.parameterCount;
    };
    const query: Submittable & Record<string, unknown> = {
      submit: (connection: Connection) => {
        const wire = connection as Wire;
        wire.once('parameterDescription', onParameters);
        wire.parse({ name: '', text, types: [] }, true);
        wire.describe({ type: 'S', name: '' });
        wire.sync();
      },
      handleRowDescription: ({ fields }: RowDescription) => {
        columns = fields.map(({ name, dataTypeID, dataTypeModifier }) => ({ name, typeOid: dataTypeID, typmod: dataTypeModifier }));
      },
      handleError: (error: Error, connection: Connection | undefined) => {
        connection?.removeListener('parameterDescription', onParameters);
        reject(error);
      },
      handleReadyForQuery: () => resolve({ columns, parameters }),
    };
    client.query(query);
  });
}
