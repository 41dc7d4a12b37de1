import type { Problem, SourceUse, SourceWants, TableColumnRules } from '@nanosync/core';
import { describeError, isKind } from '@nanosync/core';
import type { Client } from 'pg';
import type { Connect } from './connection.ts';
import { queryJson, quoteIdent, withConnection } from './connection.ts';
import { nameParts } from './discovery.ts';
import { identify } from './identity.ts';
import { publicationName, slotPattern } from './names.ts';
import { noRoomForSlot } from './slot.ts';
import { tableFacts } from './table-facts.ts';
import { tableProblems } from './table-fitness.ts';

/** The oldest PostgreSQL whose planner reads ctid ranges without reading the whole table. */
const OLDEST = 140_000;

interface ServerFacts {
  readonly version: number;
  readonly versionText: string;
  readonly backendPid: number;
  readonly rowSecurity: string;
  readonly walLevel: string;
  readonly readOnly: boolean;
  readonly standby: boolean;
  readonly encoding: string;
  readonly mayReplicate: boolean;
  readonly mayCreate: boolean;
  readonly foreignPublication: boolean;
  readonly slots: number;
  readonly maxSlots: number;
  readonly idleSlot: string | null;
  readonly senders: number;
  readonly maxSenders: number;
}

// The slots of the pipeline, and of those beside it, and their senders count as free: a slot is there when a running pipeline is checked, and whoever anchors it drops those
// that are there before another is made.
const FACTS = `WITH own AS (SELECT * FROM pg_replication_slots s WHERE s.slot_name ~ $1 AND s.database = current_database()),
others AS (SELECT * FROM pg_replication_slots s WHERE s.slot_name NOT IN (SELECT slot_name FROM own))
SELECT json_build_object(
  'version', current_setting('server_version_num')::int, 'versionText', current_setting('server_version'),
  'backendPid', pg_backend_pid(), 'rowSecurity', current_setting('row_security'), 'walLevel', current_setting('wal_level'),
  'standby', pg_is_in_recovery(), 'readOnly', current_setting('transaction_read_only') = 'on', 'encoding', current_setting('server_encoding'),
  'mayReplicate', (SELECT r.rolsuper OR r.rolreplication FROM pg_roles r WHERE r.rolname = current_user)
    OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication' AND pg_has_role(r.oid, 'MEMBER')),
  'mayCreate', has_database_privilege(current_database(), 'CREATE'),
  'foreignPublication', EXISTS (SELECT FROM pg_publication p WHERE p.pubname = $2 AND NOT pg_has_role(p.pubowner, 'USAGE')),
  'slots', (SELECT count(*) FROM others),
  'maxSlots', current_setting('max_replication_slots')::int,
  'idleSlot', (SELECT min(s.slot_name) FROM others s WHERE NOT s.active),
  'senders', (SELECT count(*) FROM pg_stat_replication r
    WHERE NOT EXISTS (SELECT FROM own s WHERE s.active_pid = r.pid)),
  'maxSenders', current_setting('max_wal_senders')::int)`;

/**
 * Every problem of server, user and tables, each with its cure. Touches nothing; throws when it cannot connect at all. What a slot and a
 * publication need is not asked for where tables are only read.
 */
export async function checkPrerequisites(
  connect: Connect,
  pipeline: string,
  tables: readonly string[],
  { columns, use = 'follow', beside = [] }: SourceWants = {},
): Promise<Problem[]> {
  const { server, ofTables } = await withConnection(connect, 'check', async (client) => ({
    server: await serverProblems(client, connect, pipeline, { use, beside }),
    ofTables: await problemsOfTables(client, connect, tables, columns),
  }));
  if (use === 'copy') return [...server, ...ofTables];
  // The replication protocol is tried last: its refusal says less than what was found before.
  return server.length > 0 ? [...server, ...ofTables] : [...(await protocolProblems(connect)), ...ofTables];
}

async function serverProblems(
  client: Client,
  connect: Connect,
  pipeline: string,
  { use, beside }: { readonly use: SourceUse; readonly beside: readonly string[] },
): Promise<Problem[]> {
  const slots = [pipeline, ...beside].map((one) => `(${slotPattern(one)})`).join('|');
  const facts = await queryJson<ServerFacts>(client, FACTS, [slots, publicationName(pipeline)]);
  const { place } = connect;
  const problems: Problem[] = [];
  const add = (wrong: boolean, what: string, cure: string) => wrong && problems.push({ what, cure });
  add(await isPooled(client, facts), `A connection pooler answers at ${place}, not PostgreSQL.`, DIRECT);
  add(facts.version < OLDEST, `PostgreSQL ${facts.versionText} at ${place} is too old.`, 'Upgrade to PostgreSQL 14 or newer.');
  add(facts.standby, `PostgreSQL at ${place} is a read-only standby.`, 'Connect to the primary.');
  add(
    !facts.standby && facts.readOnly && use === 'follow',
    `This user's transactions are read-only at ${place}.`,
    `Run: ALTER ROLE ${quoteIdent(connect.user)} RESET default_transaction_read_only;`,
  );
  add(
    facts.encoding === 'SQL_ASCII',
    `The database at ${place} has no encoding (SQL_ASCII), so its text may not be text.`,
    'Replicate from a database with an encoding.',
  );
  if (use === 'copy') return problems;
  const logical = 'Run: ALTER SYSTEM SET wal_level = logical; then restart PostgreSQL.';
  add(facts.walLevel !== 'logical', `wal_level at ${place} is ${facts.walLevel}, not logical.`, logical);
  return [...problems, ...rightProblems(facts, connect, pipeline), ...roomProblems(facts, place, beside)];
}

const DIRECT = 'Connect to the database server itself: replication does not pass a pooler.';

/** A pooler makes up the process id of its greeting, swaps servers between transactions, or drops our settings. */
async function isPooled(client: Client, facts: ServerFacts): Promise<boolean> {
  const greeted = (client as unknown as { readonly processID: number | null }).processID;
  const later = await queryJson<number>(client, 'SELECT to_json(pg_backend_pid())');
  return greeted !== facts.backendPid || later !== facts.backendPid || facts.rowSecurity !== 'off';
}

function rightProblems(facts: ServerFacts, { place, user, database }: Connect, pipeline: string): Problem[] {
  const problems: Problem[] = [];
  if (!facts.mayReplicate)
    problems.push({ what: `User ${user} has no REPLICATION right at ${place}.`, cure: `Run: ALTER ROLE ${quoteIdent(user)} REPLICATION;` });
  if (!facts.mayCreate)
    problems.push({
      what: `User ${user} may not create a publication in database ${database}.`,
      cure: `Run: GRANT CREATE ON DATABASE ${quoteIdent(database)} TO ${quoteIdent(user)};`,
    });
  if (facts.foreignPublication)
    problems.push({
      what: `Publication ${publicationName(pipeline)} belongs to another user.`,
      cure: `Run: DROP PUBLICATION ${quoteIdent(publicationName(pipeline))}; as its owner, or give the pipeline another name.`,
    });
  return problems;
}

/** Each pipeline needs a slot and a sender of its own. */
function roomProblems(facts: ServerFacts, place: string, beside: readonly string[]): Problem[] {
  const problems: Problem[] = [];
  const wanted = 1 + beside.length;
  const together = beside.length === 0 ? '' : ` for this pipeline and ${beside.join(', ')} together`;
  if (facts.slots + wanted > facts.maxSlots)
    problems.push(
      facts.slots >= facts.maxSlots
        ? noRoomForSlot(place, facts.maxSlots, facts.idleSlot)
        : {
            what: `PostgreSQL at ${place} has ${facts.maxSlots - facts.slots} free replication slots (max_replication_slots is ${facts.maxSlots}), ${wanted} are needed${together}.`,
            cure: `Raise max_replication_slots to ${facts.slots + wanted} and restart PostgreSQL.`,
          },
    );
  if (facts.senders + wanted > facts.maxSenders)
    problems.push({
      what: `PostgreSQL at ${place} has no free replication connection${together} (max_wal_senders is ${facts.maxSenders}).`,
      cure: `Raise max_wal_senders to ${facts.senders + wanted} or more and restart PostgreSQL.`,
    });
  return problems;
}

async function protocolProblems(connect: Connect): Promise<Problem[]> {
  try {
    await identify(connect);
    return [];
  } catch (error) {
    return [
      {
        what: `The replication protocol does not work: ${describeError(error)}`,
        cure: isKind(error, 'prerequisite') ? (error.hint ?? DIRECT) : DIRECT,
      },
    ];
  }
}

async function problemsOfTables(
  client: Client,
  connect: Connect,
  tables: readonly string[],
  columns: TableColumnRules = {},
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const table of tables) {
    try {
      const { schema, name } = nameParts(table);
      problems.push(...tableProblems(table, connect, await tableFacts(client, schema, name), columns[table]));
    } catch (error) {
      if (!isKind(error, 'config')) throw error;
      problems.push({ what: error.message, cure: error.hint ?? '' });
    }
  }
  return problems;
}
