import type { TableId } from '@nanosync/core';
import { PipelineError } from '@nanosync/core';
import type { Scenario, ScenarioDatabase, WaitingPart } from './source-scenario.ts';
import type { Outcome } from './source-scenario-pipeline.ts';
import { ScenarioPipeline } from './source-scenario-pipeline.ts';
import { Sessions } from './source-scenario-sessions.ts';

/**
 * Runs a scenario on a database and writes down what came of it, in the scenario's own form. `id` is new to the database.
 *
 * - `A begin`, `A insert 1 name body`, `A update 1 name [body]`, `A key 1 2 [name]`, `A delete 1`, `A truncate`, `A prepare`, `A commit`,
 *   `A commit late`, `A visible`, `A rollback`: what session A does. `A other insert 1 name body`: in the other table.
 *   `run insert 1-9 name body; delete 2`: a transaction.
 * - `rewrite`, `vacuum`, `vacuum rows` (keeps empty pages), `crash`, `drop`, `break`: what happens to the database.
 * - `discover`, `plan 5`, `mark consistency`, `complete off`, `acknowledge commit 2`, `confirmed commit 2`, `verify commit 2`: what a pipeline does.
 * - `anchor`, `fence`, `extend`, `read`, `read 0`, `read 1-`, `stream 2` (two commits), `stream rest` (all there is), `stream idle`: the same, and
 *   each also in parts: `read begins`, `read held` (it has its first rows), `read waits`, `fence waits for A`, `anchor settles` (waits or is over),
 *   `read ends`. `stream opens from commit 2`, `stream closes`.
 */
export async function runScenario(db: ScenarioDatabase, { text }: Scenario, id: string): Promise<string> {
  return runSteps(db, stepsOf(text), id);
}

/** The same with steps that may depend on what the ones before came to. */
export async function runSteps(db: ScenarioDatabase, steps: Iterator<string, void, Outcome>, id: string): Promise<string> {
  const run = await Run.begin(db, id);
  const lines: string[] = [];
  try {
    for (let next = steps.next('done'); next.done !== true; ) {
      const outcome = await run.step(next.value);
      lines.push(...written(next.value, outcome));
      next = steps.next(outcome);
    }
  } catch (error) {
    throw new Error(`a step failed behind:\n${lines.join('\n')}`, { cause: error });
  } finally {
    await run.end();
  }
  return lines.join('\n');
}

/** The steps of a scenario, without what they came to. */
function* stepsOf(text: string): Generator<string, void, Outcome> {
  for (const line of text.split('\n')) if (line !== '' && !line.startsWith(' ')) yield line.replace(/ -> .*$/, '');
}

function written(step: string, outcome: Outcome): readonly string[] {
  if (typeof outcome === 'string') return [outcome === 'done' ? step : `${step} -> ${outcome}`];
  return [step, ...outcome.map((line) => `  ${line}`)];
}

/** Work of the source that a step began and a later one looks at. */
interface Background {
  over: boolean;
  readonly outcome: Promise<Outcome>;
}

/** One run of one scenario. */
class Run {
  private readonly db: ScenarioDatabase;
  private readonly id: string;
  private readonly table: TableId;
  private readonly sessions: Sessions;
  private readonly pipeline: ScenarioPipeline;
  private readonly began = new Map<WaitingPart, Background>();

  private constructor(db: ScenarioDatabase, id: string, [table, other]: readonly [TableId, TableId]) {
    this.db = db;
    this.id = id;
    this.table = table;
    this.sessions = new Sessions(db, table, other);
    this.pipeline = new ScenarioPipeline(db.source, id, table, other);
  }

  static async begin(db: ScenarioDatabase, id: string): Promise<Run> {
    const run = new Run(db, id, [await db.table(id), await db.table(`${id}_other`)]);
    await db.settled(run.pipeline.discover());
    return run;
  }

  /** Leaves nothing that could disturb the next scenario. */
  async end(): Promise<void> {
    await this.pipeline[Symbol.asyncDispose]();
    await this.sessions[Symbol.asyncDispose]();
    for (const { outcome } of this.began.values()) await this.db.settled(outcome).catch(() => {});
    await this.db.settled(this.db.source.release(this.id, async () => true));
  }

  async step(step: string): Promise<Outcome> {
    const [first = '', ...rest] = step.split(' ');
    if (/^[A-Z]$/.test(first)) return this.sessions.statement(first, rest);
    if (first === 'run') return this.sessions.transaction(step.slice('run '.length).split('; '));
    return (await this.happens(first, rest)) ?? (await this.asks(first, rest)) ?? this.works(first as WaitingPart, rest);
  }

  /** What happens to the database. */
  private async happens(what: string, [word]: readonly string[]): Promise<Outcome | undefined> {
    const { db, id, table } = this;
    switch (what) {
      case 'rewrite':
        return db.rewrite(table);
      case 'vacuum':
        return done(db.vacuum(table, word !== 'rows'));
      case 'crash':
        await db.crash();
        return done(this.sessions.reconnect());
      case 'drop':
        return done(db.dropSlot(id));
      case 'break':
        return done(db.breakStream(id));
      default:
        return undefined;
    }
  }

  /** What the pipeline asks of its source, and gets at once. */
  private async asks(what: string, rest: readonly string[]): Promise<Outcome | undefined> {
    const { db, pipeline } = this;
    const words = rest.join(' ');
    switch (what) {
      case 'complete':
        pipeline.complete = words === 'until consistency' ? 'consistency' : words === 'on';
        return 'done';
      case 'discover':
        return db.settled(done(pipeline.discover()));
      case 'plan':
        return db.settled(pipeline.plan(words));
      case 'mark':
        return db.settled(done(pipeline.mark(words)));
      case 'verify':
        return db.settled(failing(pipeline.verify(words)));
      case 'acknowledge':
        pipeline.acknowledge(words);
        return 'done';
      case 'confirmed':
        return pipeline.events.name(await db.confirmed(this.id, pipeline.events.lsn(words === '' ? 'l0' : words)));
      default:
        return undefined;
    }
  }

  /** What may take long: at once, or begun, seen waiting and ended by steps of their own. */
  private async works(part: WaitingPart, words: readonly string[]): Promise<Outcome> {
    const { db, pipeline } = this;
    const first = words[0];
    const last = words.at(-1);
    if (first === 'waits') return this.waiting(part, words[2]);
    if (first === 'settles') return (await this.waiting(part, undefined)) === 'done' ? 'waits' : 'over';
    if (first === 'opens') return db.settled(failing(pipeline.open(words.slice(2).join(' '))));
    if (first === 'closes') return done(pipeline.close());
    if (last === 'held') return this.held(words.slice(0, -1));
    if (last !== 'ends') this.start(part, last === 'begins' ? words.slice(0, -1) : words);
    return last === 'begins' ? 'done' : this.ended(part);
  }

  private start(part: WaitingPart, words: readonly string[]): void {
    const background: Background = { over: false, outcome: failing(this.work(part, words[0])) };
    const end = () => {
      background.over = true;
    };
    background.outcome.then(end, end);
    this.began.set(part, background);
  }

  private work(part: WaitingPart, word: string | undefined): Promise<Outcome> {
    const { pipeline } = this;
    switch (part) {
      case 'anchor':
        return done(pipeline.makeAnchor());
      case 'fence':
        return done(pipeline.fence());
      case 'extend':
        return done(pipeline.extend());
      case 'read':
        return pipeline.read(word);
      case 'stream':
        if (word === 'rest') return pipeline.rest();
        return word === 'idle' ? pipeline.idle() : pipeline.stream(Number(word));
      default:
        throw new Error(`a scenario has no step ${String(part)}`);
    }
  }

  /** Returns once the read has its first rows, or is over. */
  private async held(words: readonly string[]): Promise<Outcome> {
    const hold = { first: Promise.withResolvers<void>(), end: Promise.withResolvers<void>() };
    this.pipeline.hold = hold;
    this.start('read', words);
    return this.db.settled(done(Promise.race([hold.first.promise, this.began.get('read')?.outcome])));
  }

  private async waiting(part: WaitingPart, session: string | undefined): Promise<Outcome> {
    const background = this.began.get(part);
    const isOver = () => background?.over !== false;
    const named = () => this.pipeline.waits.some((wait) => session === undefined || this.db.holder(wait) === session);
    const tells = part === 'fence' || part === 'extend';
    await this.db.untilWaiting(part, session, () => isOver() || (tells && named()));
    return isOver() || (tells && !named()) ? 'does not wait' : 'done';
  }

  private async ended(part: WaitingPart): Promise<Outcome> {
    const background = this.began.get(part);
    if (background === undefined) throw new Error(`no ${part} was begun`);
    this.pipeline.hold?.end.resolve();
    return this.db.settled(background.outcome);
  }
}

/** A failure as the kind that the pipeline meets. */
async function failing(work: Promise<Outcome>): Promise<Outcome> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    return error.kind;
  }
}

async function done(work: Promise<unknown>): Promise<'done'> {
  await work;
  return 'done';
}
