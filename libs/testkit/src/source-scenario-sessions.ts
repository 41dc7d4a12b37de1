import type { TableId } from '@nanosync/core';
import type { ScenarioDatabase, ScenarioSession, StatementOutcome } from './source-scenario.ts';
import { bodyText } from './source-scenario-text.ts';

/** The applications' sessions of one run of a scenario, by name. */
export class Sessions implements AsyncDisposable {
  private readonly db: ScenarioDatabase;
  private readonly table: TableId;
  private readonly other: TableId;
  private readonly sessions = new Map<string, ScenarioSession>();

  constructor(db: ScenarioDatabase, table: TableId, other: TableId) {
    this.db = db;
    this.table = table;
    this.other = other;
  }

  /** One statement of a session, such as `insert 1 name body`. */
  async statement(name: string, words: readonly string[]): Promise<StatementOutcome> {
    return this.run(await this.session(name), words);
  }

  private async session(name: string): Promise<ScenarioSession> {
    const known = this.sessions.get(name) ?? (await this.db.session(name));
    this.sessions.set(name, known);
    return known;
  }

  private async run(session: ScenarioSession, words: readonly string[]): Promise<StatementOutcome> {
    const isOther = words[0] === 'other';
    const table = isOther ? this.other : this.table;
    const [what = '', ...args] = isOther ? words.slice(1) : words;
    const [id, name = '', body = ''] = [Number(args[0]), args[1], args[2]];
    switch (what) {
      case 'insert':
        return session.insert(table, { id, name, body: bodyText(body, id) });
      case 'update':
        return session.update(table, id, { name, ...(body === '' ? {} : { body: bodyText(body, id) }) });
      case 'key':
        return session.update(table, id, { id: Number(name), ...(body === '' ? {} : { name: body }) });
      case 'delete':
        return session.delete(table, id);
      case 'truncate':
        return session.truncate(table);
      case 'begin':
      case 'prepare':
      case 'rollback':
        await session[what]();
        return 'done';
      case 'visible':
        await session.becomeVisible();
        return 'done';
      case 'commit':
        await (args[0] === 'late' ? session.commitLate() : session.commit());
        return 'done';
      default:
        throw new Error(`a scenario has no statement ${what}`);
    }
  }

  /** Connects all of them anew after a crash of the server. */
  async reconnect(): Promise<void> {
    for (const session of this.sessions.values()) await session.reconnect();
  }

  /** Ends what they left open. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions.values()) await session[Symbol.asyncDispose]();
  }

  /** Statements as one transaction of a session that nobody else uses. */
  async transaction(statements: readonly string[]): Promise<string> {
    const session = await this.session('run');
    const outcomes: StatementOutcome[] = [];
    await session.begin();
    for (const statement of statements) outcomes.push(...(await this.many(session, statement.split(' '))));
    await session.commit();
    return outcomes.every((outcome) => outcome === 'done') ? 'done' : outcomes.join(', ');
  }

  /** `insert 1-20 name body` is twenty statements. */
  private async many(session: ScenarioSession, [what = '', ids = '', ...rest]: readonly string[]): Promise<StatementOutcome[]> {
    const [from, to] = ids.split('-');
    if (to === undefined) return [await this.run(session, [what, ids, ...rest])];
    const outcomes: StatementOutcome[] = [];
    for (let id = Number(from); id <= Number(to); id++) outcomes.push(await this.run(session, [what, String(id), ...rest]));
    return outcomes;
  }
}
