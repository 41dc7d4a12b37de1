import type { ColumnRules, Problem } from '@nanosync/core';
import { avroName } from '@nanosync/core';
import { ruleProblems } from './column-rules.ts';
import { quoteIdent } from './connection.ts';
import type { IndexFacts, TableFacts } from './table-facts.ts';

/** What a relation is when it is no table of ours, by relkind. */
const OTHER_KINDS: Readonly<Record<string, string>> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  p: 'a partitioned table',
  S: 'a sequence',
  i: 'an index',
  I: 'an index',
  c: 'a composite type',
  t: 'a TOAST table',
};

/** Whose view of which database it is. */
export interface TableUser {
  readonly database: string;
  readonly user: string;
}

/** Everything that keeps this table from being replicated, each with its cure. */
export function tableProblems(table: string, at: TableUser, facts: TableFacts | undefined, rules?: ColumnRules): Problem[] {
  const sql = sqlName(table);
  if (facts === undefined)
    return [
      {
        what: `Table ${table} does not exist in database ${at.database}.`,
        cure: 'Correct the name in the pipeline; names are taken as written, upper and lower case included.',
      },
    ];
  const shape = shapeProblem(table, sql, facts);
  if (shape !== undefined) return [shape];
  const found = [...rightProblems(table, sql, quoteIdent(at.user), facts), ...contentProblems(table, sql, facts)];
  return [...found, ...ruleProblems(table, rules, { columns: loggedNames(facts), key: keyNames(facts) })];
}

function loggedNames(facts: TableFacts): readonly string[] {
  return facts.columns.filter((column) => !column.generated).map(({ name }) => name);
}

function keyNames(facts: TableFacts): readonly string[] {
  return (keyOf(facts) ?? []).map((attnum) => facts.columns.find((column) => column.attnum === attnum)?.name ?? '');
}

function shapeProblem(table: string, sql: string, facts: TableFacts): Problem | undefined {
  if (table.startsWith('pg_catalog.') || table.startsWith('information_schema.'))
    return { what: `Table ${table} belongs to PostgreSQL itself.`, cure: 'Name a table of your own.' };
  if (facts.kind === 'p')
    return { what: `Table ${table} is a partitioned table, which is not supported yet.`, cure: 'Take it out of the pipeline.' };
  const other = facts.kind === 'r' ? undefined : (OTHER_KINDS[facts.kind] ?? 'not a table');
  if (other !== undefined)
    return { what: `${table} is ${other}, and only tables have a change stream.`, cure: 'Name the tables behind it instead.' };
  if (facts.isPartition)
    return { what: `Table ${table} is a partition of another table, which is not supported yet.`, cure: 'Take it out of the pipeline.' };
  if (facts.hasParent || facts.hasChildren)
    return { what: `Table ${table} is part of an inheritance tree, which is not supported yet.`, cure: 'Take it out of the pipeline.' };
  if (facts.persistence === 't') return { what: `Table ${table} is temporary.`, cure: 'Name a permanent table.' };
  if (facts.persistence === 'u')
    return { what: `Table ${table} is unlogged, so its changes are not in the log.`, cure: `Run: ALTER TABLE ${sql} SET LOGGED;` };
  return undefined;
}

function rightProblems(table: string, sql: string, user: string, facts: TableFacts): Problem[] {
  const problems: Problem[] = [];
  if (!facts.maySelect)
    problems.push({
      what: `This user may not read table ${table}.`,
      cure: `Run: GRANT USAGE ON SCHEMA ${schemaName(table)} TO ${user}; GRANT SELECT ON ${sql} TO ${user};`,
    });
  if (!facts.owned)
    problems.push({
      what: `This user does not own table ${table}, and only an owner can publish a table.`,
      cure: ownershipCure(sql, user, facts),
    });
  if (facts.rowsHidden)
    problems.push({
      what: `Row security hides rows of table ${table} from this user.`,
      cure: `Run: ALTER ROLE ${user} BYPASSRLS;`,
    });
  return problems;
}

/** Membership in a superuser would hand out the whole server: such a table gets an owner of its own. */
function ownershipCure(sql: string, user: string, { owner, ownerIsSuperuser }: TableFacts): string {
  if (!ownerIsSuperuser) return `Run: GRANT ${quoteIdent(owner)} TO ${user};`;
  const role = '"nanosync_tables"';
  return `Its owner ${quoteIdent(owner)} is a superuser, so give it another. Run: CREATE ROLE ${role}; ALTER TABLE ${sql} OWNER TO ${role}; GRANT ${role} TO ${user};`;
}

function contentProblems(table: string, sql: string, facts: TableFacts): Problem[] {
  const names = loggedNames(facts).map(avroName);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    return [{ what: `Two columns of table ${table} have names that become ${twice} on the bus.`, cure: 'Rename one of them.' }];
  return keyOf(facts) === undefined ? [keyProblem(table, sql, facts)] : [];
}

/**
 * The attribute numbers of the key, in index order: what the log identifies a row by. That is the primary key under REPLICA
 * IDENTITY DEFAULT, the named index under USING INDEX, and under FULL the primary key or else a unique index. Undefined when
 * there is none that is immediate, complete and over columns that cannot be null.
 */
export function keyOf(facts: TableFacts): readonly number[] | undefined {
  // Invariant 'logged-key': any other index would find rows that the log cannot name.
  const usable = facts.indexes.filter((index) => isKey(index, facts));
  switch (facts.replicaIdentity) {
    case 'd':
      return usable.find((index) => index.primary)?.columns;
    case 'i':
      return usable.find((index) => index.replicaIdentity)?.columns;
    case 'f':
      return (usable.find((index) => index.primary) ?? usable[0])?.columns;
    case 'n':
      return undefined;
  }
}

function isKey(index: IndexFacts, facts: TableFacts): boolean {
  if (!index.unique || !index.immediate || !index.valid || index.partial) return false;
  return index.columns.every((attnum) => {
    const column = facts.columns.find((candidate) => candidate.attnum === attnum);
    return column?.notNull === true && !column.generated;
  });
}

function keyProblem(table: string, sql: string, facts: TableFacts): Problem {
  const index = `Run: ALTER TABLE ${sql} REPLICA IDENTITY USING INDEX a_unique_index; (unique, over NOT NULL columns, not deferrable, not partial).`;
  const primary = facts.indexes.find((candidate) => candidate.primary);
  if (facts.replicaIdentity === 'n') {
    const cure = primary?.immediate ? `Run: ALTER TABLE ${sql} REPLICA IDENTITY DEFAULT;` : index;
    return { what: `Table ${table} has REPLICA IDENTITY NOTHING, so updates and deletes carry no key.`, cure };
  }
  if (facts.replicaIdentity === 'i')
    return { what: `The index that is the REPLICA IDENTITY of table ${table} is missing or cannot be a key.`, cure: index };
  if (primary !== undefined && !primary.immediate)
    return { what: `The primary key of table ${table} is deferrable, so the log does not identify rows by it.`, cure: index };
  if (primary?.columns.some((attnum) => facts.columns.find((column) => column.attnum === attnum)?.generated))
    return { what: `The key of table ${table} holds a generated column, which is not in the change stream.`, cure: index };
  return { what: `Table ${table} has no usable key.`, cure: `Run: ALTER TABLE ${sql} ADD PRIMARY KEY (the_key_columns);` };
}

function sqlName(table: string): string {
  return `${schemaName(table)}.${quoteIdent(table.slice(table.indexOf('.') + 1))}`;
}

function schemaName(table: string): string {
  return quoteIdent(table.slice(0, table.indexOf('.')));
}
