import type { Clock, Log, TableId } from '@nanosync/core';
import { systemClock } from '@nanosync/runtime';
import { openPostgresSource } from '@nanosync/source-postgres';
import type { PostgresVersion, ScenarioChange, ScenarioDatabase, ScenarioSession, StatementOutcome, WaitingPart } from '@nanosync/testkit';
import { startPostgres } from '@nanosync/testkit';
import type { QueryResult } from 'pg';
import { Client } from 'pg';

const clock: Clock = systemClock();
const quiet: Log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {}, with: () => quiet };

/** A standby that is away: who asks for it hangs in the commit. By default nobody does. */
const SETTINGS = { autovacuum: 'off', synchronous_standby_names: 'away', synchronous_commit: 'local' };
/** A statement that waits so long for a lock is blocked. */
const BLOCKED_MS = 30;

const OUTCOMES: Readonly<Record<string, StatementOutcome>> = { '55P03': 'blocked', '23505': 'duplicate' };

/** What shows in the server that a part of the source waits. */
const WAITS: Readonly<Record<Exclude<WaitingPart, 'fence' | 'extend'>, string>> = {
  anchor: `SELECT 1 FROM pg_locks w JOIN pg_locks h ON h.transactionid = w.transactionid AND h.granted AND NOT w.granted
    LEFT JOIN pg_stat_activity s ON s.pid = h.pid LEFT JOIN pg_prepared_xacts p ON p.transaction = h.transactionid
    WHERE $1::text IS NULL OR COALESCE(s.application_name, 'session ' || p.gid) = 'session ' || $1`,
  read: `SELECT 1 FROM pg_locks l JOIN pg_stat_activity s ON s.pid = l.pid
    WHERE s.application_name = 'nanosync snapshot' AND NOT l.granted AND $1::text IS NULL`,
  // It asks again and again, which shows as several statements, or waits for a lock.
  stream: `SELECT query_start::text FROM pg_stat_activity WHERE application_name = 'nanosync completion' AND $1::text IS NULL
    UNION ALL SELECT n::text FROM pg_stat_activity, generate_series(1, 3) n WHERE application_name = 'nanosync completion' AND wait_event_type = 'Lock'`,
};

/** A PostgreSQL of this version as a database that scenarios run on. */
export async function postgresScenarios(version: PostgresVersion): Promise<ScenarioDatabase> {
  const server = await startPostgres({ version, settings: SETTINGS });
  let admin = await connected(server.dsn(), 'admin');
  const source = await openPostgresSource({ dsn: server.dsn(), applicationName: 'nanosync', log: quiet, clock });
  return {
    source,
    table: async (name) => {
      await admin.query(`CREATE TABLE public.${name} (id bigint PRIMARY KEY, name text, body text)`);
      await admin.query(`ALTER TABLE public.${name} ALTER body SET STORAGE EXTERNAL`);
      return `public.${name}` as TableId;
    },
    session: async (name) => {
      const connect = () => connected(server.dsn(), `session ${name}`);
      return new PostgresSession(name, await connect(), { connect, admin: () => admin });
    },
    rewrite: async (table) => {
      const code = await codeOf(admin.query(`VACUUM FULL ${table}`));
      return code === '55P03' ? 'waits' : 'done';
    },
    vacuum: async (table, shorten) => void (await admin.query(`VACUUM (SKIP_LOCKED, TRUNCATE ${shorten}) ${table}`)),
    crash: async () => {
      await server.restart('immediate');
      admin = await connected(server.dsn(), 'admin');
    },
    dropSlot: async (pipeline) => {
      await terminate(admin, pipeline);
      await admin.query('SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name ~ $1', [slotsOf(pipeline)]);
    },
    breakStream: (pipeline) => terminate(admin, pipeline),
    confirmed: async (pipeline, atLeast) => {
      for (;;) {
        const { rows } = await admin.query<{ at: string }>(
          `SELECT confirmed_flush_lsn - '0/0' AS at FROM pg_replication_slots WHERE slot_name ~ $1`,
          [slotsOf(pipeline)],
        );
        const at = BigInt(rows[0]?.at ?? 0);
        if (at >= atLeast) return at;
      }
    },
    settled: (work) => work,
    untilWaiting: async (part, session, over) => {
      const seen = new Set<string>();
      while (!over() && seen.size < (part === 'stream' ? 3 : 1)) {
        const { rows } =
          part === 'fence' || part === 'extend'
            ? await admin.query('SELECT WHERE false')
            : await admin.query(WAITS[part], [session ?? null]);
        for (const row of rows) seen.add(JSON.stringify(row));
      }
    },
    holder: ({ holder }) => /of session (\w+)|prepared transaction '(\w+)'/.exec(holder)?.slice(1).find(Boolean) ?? '',
    [Symbol.asyncDispose]: async () => {
      await source[Symbol.asyncDispose]();
      await admin.end();
      await server.stop();
    },
  };
}

/** What the slots of the pipeline's anchors match; in a scenario it has one. */
function slotsOf(pipeline: string): string {
  return `^nanosync_slot_${pipeline}_[0-9a-f]{16}$`;
}

async function connected(dsn: string, name: string): Promise<Client> {
  const client = new Client({ connectionString: dsn, application_name: name, options: `-c lock_timeout=${BLOCKED_MS}` });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Ends the walsender and returns once the slot is free. */
async function terminate(admin: Client, pipeline: string): Promise<void> {
  const sql = 'SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name ~ $1 AND active_pid IS NOT NULL';
  while (((await admin.query(sql, [slotsOf(pipeline)])).rowCount ?? 0) > 0);
}

async function codeOf(query: Promise<QueryResult>): Promise<string | undefined> {
  try {
    await query;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code ?? 'unknown';
  }
}

interface Connections {
  connect(): Promise<Client>;
  admin(): Client;
}

/** One session: each statement in a savepoint, so that one that is refused has done nothing. */
class PostgresSession implements ScenarioSession {
  private readonly name: string;
  private client: Client;
  private readonly connections: Connections;
  private prepared = false;
  private late: Promise<unknown> | undefined;

  constructor(name: string, client: Client, connections: Connections) {
    this.name = name;
    this.client = client;
    this.connections = connections;
  }

  async begin() {
    await this.client.query('BEGIN; SELECT pg_current_xact_id()');
  }

  insert(table: TableId, { id, name, body }: Required<ScenarioChange>) {
    return this.statement(`INSERT INTO ${table} VALUES ($1, $2, $3)`, [id, name, body]);
  }

  update(table: TableId, id: number, change: ScenarioChange) {
    const cells = Object.entries(change);
    const sets = cells.map(([column], index) => `${column} = $${index + 2}`);
    return this.statement(`UPDATE ${table} SET ${sets.join(', ')} WHERE id = $1`, [id, ...cells.map(([, cell]) => cell)]);
  }

  delete(table: TableId, id: number) {
    return this.statement(`DELETE FROM ${table} WHERE id = $1`, [id]);
  }

  truncate(table: TableId) {
    return this.statement(`TRUNCATE ${table}`, []);
  }

  async prepare() {
    await this.client.query(`PREPARE TRANSACTION '${this.name}'`);
    this.prepared = true;
  }

  async commit() {
    await this.client.query(this.end('COMMIT'));
  }

  async commitLate() {
    await this.client.query(`SET ${this.prepared ? '' : 'LOCAL'} synchronous_commit = on`);
    this.late = codeOf(this.client.query(this.end('COMMIT')));
    while (
      (await this.connections.admin().query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'SyncRep'`, [this.pid]))
        .rowCount === 0
    );
  }

  async becomeVisible() {
    await this.connections.admin().query('SELECT pg_cancel_backend($1)', [this.pid]);
    await this.late;
    this.late = undefined;
    await this.client.query('RESET synchronous_commit');
  }

  async rollback() {
    await this.client.query(this.end('ROLLBACK'));
  }

  async reconnect() {
    this.late = undefined;
    this.client = await this.connections.connect();
  }

  async [Symbol.asyncDispose]() {
    if (this.late !== undefined) await this.becomeVisible();
    await this.rollback();
    await this.client.end();
  }

  private get pid(): number {
    return (this.client as unknown as { processID: number }).processID;
  }

  private end(what: 'COMMIT' | 'ROLLBACK'): string {
    if (!this.prepared) return what;
    this.prepared = false;
    return `${what} PREPARED '${this.name}'`;
  }

  private async statement(sql: string, values: readonly unknown[]): Promise<StatementOutcome> {
    await this.client.query('SAVEPOINT statement');
    try {
      const { rowCount } = await this.client.query(sql, [...values]);
      await this.client.query('RELEASE statement');
      return rowCount === 0 ? 'absent' : 'done';
    } catch (error) {
      const outcome = OUTCOMES[(error as { code?: string }).code ?? ''];
      if (outcome === undefined) throw error;
      await this.client.query('ROLLBACK TO statement');
      return outcome;
    }
  }
}
