import type { QueryDescription, QuerySource, RangeOptions, RangeOutput, ReadQuery } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Connect, ConnectionOptions } from './connection.ts';
import { destroy, quoteIdent, withConnection } from './connection.ts';
import { codeOf } from './postgres-error.ts';
import { copyRange } from './snapshot-reader.ts';
import { asTable, describeStatement } from './statement.ts';
import type { StoredColumn, TableStorage } from './storage.ts';
import { formatStorage, parseStorage, sameColumns } from './storage.ts';
import { outputText, readsBinary } from './type-map.ts';

/** How long a statement may take that has no timeout of its own. */
const TIMEOUT_MS = 3_600_000;

/** Names are looked for where the user looks for them, and nothing can be changed, not even after our transaction. */
const OF_A_USER: ConnectionOptions = { searchPath: 'own', readOnly: true };

/** The part of a source that runs statements of users. */
export function querySource(connect: Connect): QuerySource {
  return {
    describe: (statement) => withConnection(connect, 'query', (client) => describeQuery(client, statement), OF_A_USER),
    read: (query, options) => readQuery(connect, query, options),
  };
}

async function describeQuery(client: Parameters<typeof describeStatement>[0], statement: string): Promise<QueryDescription> {
  let columns: readonly StoredColumn[];
  try {
    await client.query('BEGIN READ ONLY');
    columns = await describeStatement(client, statement);
  } catch (error) {
    throw refused(error, TIMEOUT_MS);
  }
  return { columns: columns.map(({ name, type }) => ({ name, type })), storage: formatStorage(storageOf(columns)) };
}

/** A result has neither a file nor a key; its columns are kept as those of a table. */
function storageOf(columns: readonly StoredColumn[]): TableStorage {
  return { oid: 0, filenode: 0, columns, key: [], replicaIdentity: 'n' };
}

/**
 * Runs the statement by COPY in a transaction that only reads. It is described in the same transaction, which holds what it is about as it is. Blocks may be
 * yielded before the end is known to be good: only a reader that returns without an error has read the result.
 */
async function* readQuery(connect: Connect, query: ReadQuery, options: RangeOptions): AsyncGenerator<RangeOutput, void, void> {
  const { signal } = options;
  signal.throwIfAborted();
  const timeoutMs = query.timeoutMs ?? TIMEOUT_MS;
  const client = await connect.open('query', { ...OF_A_USER, statementTimeoutMs: timeoutMs });
  const abandon = () => destroy(client);
  signal.addEventListener('abort', abandon);
  try {
    signal.throwIfAborted();
    await client.query('BEGIN READ ONLY');
    const storage = parseStorage(query.storage);
    const columns = await describeStatement(client, query.statement);
    if (!sameColumns(columns, storage.columns))
      throw new PipelineError('table-changed', 'The columns of the query changed just before it was run.', {
        hint: 'The next run has them.',
      });
    yield* copyRange(client, copySql(query.statement, columns), storage, options);
    await client.query('COMMIT');
    await client.end();
  } catch (error) {
    signal.throwIfAborted();
    throw connect.explain(refused(error, timeoutMs));
  } finally {
    signal.removeEventListener('abort', abandon);
    destroy(client);
  }
}

function copySql(statement: string, columns: readonly StoredColumn[]): string {
  const list = columns.map(({ name, typeOid, typmod }) => {
    const quoted = quoteIdent(name);
    return readsBinary(typeOid, typmod) ? quoted : outputText(quoted);
  });
  return `COPY (SELECT ${list.join(', ')} FROM ${asTable(statement)}) TO STDOUT (FORMAT binary)`;
}

/** Classes of SQLSTATE whose messages speak of names and statements alone. In others there may be values (`invalid input syntax for ...`). */
const WITHOUT_VALUES = new Set(['42', '0A', '25', '26', '34', '3F', '54']);
/** Classes that are the statement's own fault, or its data's. */
const OF_THE_STATEMENT = new Set([...WITHOUT_VALUES, '20', '21', '22', '23', '2F', '38', '39', '44', 'P0', 'XX', 'HV']);
const READ_ONLY = '25006';
const CANCELLED = '57014';
const NO_RIGHT = '42501';

/** What the server has against a statement, in a sentence without values; other errors stay as they are. */
function refused(error: unknown, timeoutMs: number): unknown {
  const code = codeOf(error);
  if (error instanceof PipelineError || code === undefined || code.length !== 5) return error;
  const message = error instanceof Error ? error.message : '';
  if (code === CANCELLED) {
    const isLate = /statement timeout/.test(message);
    const what = isLate ? `The query took longer than ${timeoutMs / 1000} s.` : 'The query was cancelled at the source.';
    return new PipelineError('prerequisite', what, {
      hint: isLate ? 'Raise its timeout, or make it faster.' : 'See who does that.',
      cause: error,
    });
  }
  if (code === READ_ONLY)
    return new PipelineError('prerequisite', `The query may only read: ${message}.`, {
      hint: 'Take out what changes something.',
      cause: error,
    });
  if (code === NO_RIGHT || !OF_THE_STATEMENT.has(code.slice(0, 2))) return error;
  const says = WITHOUT_VALUES.has(code.slice(0, 2)) ? `: ${message}` : ', with a message that may hold values and is not shown';
  return new PipelineError('prerequisite', `PostgreSQL refused the query (${code})${says}.`, {
    hint: 'Correct it: it must be one SELECT, WITH, VALUES or TABLE statement that only reads. Run it in psql to see more.',
    cause: error,
  });
}
