import type { Clock, QuerySource, Row } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { ModelDatabase } from './database.ts';
import { readModelRange, WHOLE } from './read-range.ts';

/** Statements of the model: the name of a table is all of its rows, as of one moment. Every result that was read is kept. */
export function modelQueries(db: ModelDatabase, clock: Clock, connection: () => AbortSignal): QuerySource {
  return {
    describe: async (statement) => {
      db.reach();
      const table = db.find(statement);
      if (table === undefined) throw new PipelineError('prerequisite', `Table ${statement} does not exist.`);
      return { columns: table.schema.columns, storage: statement };
    },
    read: async function* ({ statement }, options) {
      db.reach();
      const table = db.find(statement);
      if (table === undefined) throw new PipelineError('prerequisite', `Table ${statement} does not exist.`);
      const { schema, storage } = table;
      const seen = (rows: readonly Row[]) => void db.results.add(resultText(rows));
      yield* readModelRange({ db, clock, connection: connection(), ...options, view: undefined, seen }, { schema, storage }, WHOLE);
    },
  };
}

/** A result as a text to compare, in whatever order its rows come. */
export function resultText(rows: readonly Row[]): string {
  return rows
    .map((row) => row.map(String).join('|'))
    .sort()
    .join('\n');
}
