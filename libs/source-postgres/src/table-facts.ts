import type { Client } from 'pg';
import { queryJson } from './connection.ts';
import type { ReplicaIdentity, StoredColumn } from './storage.ts';
import { columnTypeOf } from './type-map.ts';

/** An index as far as it matters for being a key. */
export interface IndexFacts {
  readonly name: string;
  readonly primary: boolean;
  readonly unique: boolean;
  readonly immediate: boolean;
  readonly valid: boolean;
  readonly replicaIdentity: boolean;
  /** Has an expression or a predicate. */
  readonly partial: boolean;
  /** Attribute numbers of its key columns, in index order; 0 for an expression. */
  readonly columns: readonly number[];
}

/** A column as the catalog has it, generated ones included. */
export interface ColumnFacts {
  readonly attnum: number;
  readonly name: string;
  readonly typeOid: number;
  readonly typmod: number;
  readonly notNull: boolean;
  readonly generated: boolean;
}

/** Everything that decides whether and how a table can be replicated. */
export interface TableFacts {
  readonly oid: number;
  /** 0 for what has no storage of its own. */
  readonly filenode: number;
  /** pg_class.relkind and relpersistence. */
  readonly kind: string;
  readonly persistence: string;
  readonly isPartition: boolean;
  readonly hasParent: boolean;
  readonly hasChildren: boolean;
  readonly replicaIdentity: ReplicaIdentity;
  readonly maySelect: boolean;
  readonly owner: string;
  /** The owner may do everything, so nobody should be made a member of it. */
  readonly ownerIsSuperuser: boolean;
  /** The user is the owner, or a member of the role that is. */
  readonly owned: boolean;
  /** Row security hides rows from this user. */
  readonly rowsHidden: boolean;
  readonly columns: readonly ColumnFacts[];
  readonly indexes: readonly IndexFacts[];
}

/** The columns of relation `c` as JSON, in attribute order, without dropped ones. */
const COLUMNS = `(
  SELECT COALESCE(json_agg(json_build_object('attnum', a.attnum, 'name', a.attname, 'typeOid', a.atttypid::int8, 'typmod', a.atttypmod,
    'notNull', a.attnotnull, 'generated', a.attgenerated <> '') ORDER BY a.attnum), '[]'::json)
  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)`;

const INDEXES = `(
  SELECT COALESCE(json_agg(json_build_object('name', i.relname, 'primary', x.indisprimary, 'unique', x.indisunique,
    'immediate', x.indimmediate, 'valid', x.indisvalid AND x.indisready AND x.indislive, 'replicaIdentity', x.indisreplident,
    'partial', x.indpred IS NOT NULL OR x.indexprs IS NOT NULL,
    'columns', (SELECT json_agg(k.attnum ORDER BY k.place) FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(attnum, place)
      WHERE k.place <= x.indnkeyatts)) ORDER BY x.indisprimary DESC, x.indnkeyatts, i.relname), '[]'::json)
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid)`;

const FROM_NAMED = 'FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2';

const FACTS = `SELECT json_build_object('oid', c.oid::int8, 'filenode', COALESCE(pg_relation_filenode(c.oid)::int8, 0),
  'kind', c.relkind, 'persistence', c.relpersistence, 'isPartition', c.relispartition,
  'hasParent', EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid), 'hasChildren', EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),
  'replicaIdentity', c.relreplident, 'maySelect', has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'),
  'owner', pg_get_userbyid(c.relowner),
  'ownerIsSuperuser', COALESCE((SELECT r.rolsuper FROM pg_roles r WHERE r.oid = c.relowner), false), 'owned', pg_has_role(c.relowner, 'USAGE'), 'rowsHidden', row_security_active(c.oid),
  'columns', ${COLUMNS}, 'indexes', ${INDEXES}) ${FROM_NAMED}`;

/** What the catalog says about a table of this name, or undefined when there is none. */
export async function tableFacts(client: Client, schema: string, name: string): Promise<TableFacts | undefined> {
  return (await queryJson<TableFacts | null>(client, `SELECT COALESCE((${FACTS}), 'null')`, [schema, name])) ?? undefined;
}

/** A table's identity, storage and replicated columns as they are now: what a range read compares with its plan. */
export async function storageNow(
  client: Client,
  schema: string,
  name: string,
): Promise<Pick<TableFacts, 'oid' | 'filenode' | 'columns'> | undefined> {
  const sql = `SELECT json_build_object('oid', c.oid::int8, 'filenode', COALESCE(pg_relation_filenode(c.oid)::int8, 0), 'columns', ${COLUMNS}) ${FROM_NAMED}`;
  return (await queryJson<TableFacts | null>(client, `SELECT COALESCE((${sql}), 'null')`, [schema, name])) ?? undefined;
}

/**
 * The columns that are replicated. Generated columns are left out: pgoutput does not send them unless told to (and before
 * PostgreSQL 18 cannot), and a snapshot that had them would disagree with the changes.
 */
export function replicatedColumns(columns: readonly ColumnFacts[]): StoredColumn[] {
  return columns
    .filter((column) => !column.generated)
    .map(({ attnum, name, typeOid, typmod }) => ({ attnum, name, typeOid, typmod, type: columnTypeOf(typeOid, typmod) }));
}
