import type { Outcome } from './source-scenario-pipeline.ts';

const SESSIONS = ['A', 'B', 'C', 'D'] as const;
const STEPS = 60;
const IDS = 6;

type Step = Generator<string, Outcome, Outcome>;
type SessionState = 'none' | 'open' | 'prepared' | 'late';

/**
 * A random scenario: sessions that write, prepare, commit late and get in each other's way while a pipeline is anchored, reads and streams.
 * Two databases that do the same write the same text. Nothing in it depends on who is faster, or on which page a row lies.
 */
export function* randomSteps(random: () => number): Generator<string, void, Outcome> {
  yield* new RandomScenario(random).run();
}

class RandomScenario {
  private readonly random: () => number;
  private readonly states = new Map<string, SessionState>(SESSIONS.map((name) => [name, 'none']));
  /** The session that has truncated the table: nobody else can even read. */
  private truncating: string | undefined;
  /** Sessions that keep the other table from being taken in, while that is under way. */
  private extending: Set<string> | undefined;
  private hasExtended = false;
  /** Sessions whose transaction has anything to commit: an empty one waits for no standby. */
  private readonly wrote = new Set<string>();

  constructor(random: () => number) {
    this.random = random;
  }

  *run(): Generator<string, void, Outcome> {
    yield 'run insert 1-4 first La';
    for (let step = 0; step < 8; step++) yield* this.session(this.pick(SESSIONS));
    yield* this.anchored();
    yield `complete ${this.pick(['on', 'off', 'until consistency'])}`;
    yield 'stream opens';
    for (let step = 0; step < STEPS; step++) yield* this.step();
    for (const name of SESSIONS) yield* this.over(name);
    yield* this.read();
    yield 'stream rest';
  }

  /** The slot while transactions run, end and begin; some go on across its consistent point. */
  private *anchored(): Step {
    if (this.truncating !== undefined) yield* this.over(this.truncating);
    yield 'anchor begins';
    for (let step = 0; (yield 'anchor settles') === 'waits'; step++) {
      const running = SESSIONS.filter((session) => this.states.get(session) !== 'none');
      if (step < 12 && this.random() < 0.5) yield* this.session(this.pick(SESSIONS));
      else yield* this.advance(this.pick(running));
    }
    return yield 'anchor ends';
  }

  private *step(): Step {
    const chance = this.random();
    if (chance < 0.01) return yield* this.extend();
    if (chance < 0.86) return yield* this.session(this.pick(SESSIONS));
    if (chance < 0.89) return yield* this.read();
    if (chance < 0.91) return yield 'rewrite';
    if (chance < 0.92) return yield 'vacuum rows';
    if (chance < 0.93) return yield `mark ${this.pick(['consistency', 'watermark', 'other'])}`;
    if (chance < 0.96) return yield* this.stream();
    if (chance < 0.97) return yield* this.reopen();
    if (chance < 0.975) return yield* this.crash();
    return yield `run ${this.statement()}; ${this.statement()}`;
  }

  private *session(name: string): Step {
    const state = this.states.get(name);
    if (state === 'none') {
      this.states.set(name, 'open');
      return yield `${name} begin`;
    }
    if (state === 'open' && this.random() < 0.7) return yield* this.write(name);
    return yield* this.advance(name);
  }

  private *write(name: string): Step {
    if (this.states.get(name) !== 'open') return 'done';
    const outcome = yield `${name} ${this.statement()}`;
    if (outcome === 'done') this.wrote.add(name);
    if (outcome === 'done' && this.random() < 0.04 && this.truncating === undefined && (yield `${name} truncate`) === 'done')
      this.truncating = name;
    return outcome;
  }

  /** Nearer to its end: prepared, committed, or visible. */
  private *advance(name: string): Step {
    const state = this.states.get(name);
    const chance = this.random();
    if (state === 'none') return 'done';
    if (state === 'open' && chance < 0.2) return yield* this.become(name, 'prepared', 'prepare');
    if (state !== 'late' && chance < 0.45 && this.truncating !== name && this.wrote.has(name))
      return yield* this.become(name, 'late', 'commit late');
    if (state !== 'late' && chance < 0.6) return yield* this.become(name, 'none', 'rollback');
    return yield* this.over(name);
  }

  private *over(name: string): Step {
    const state = this.states.get(name);
    if (state === 'none') return 'done';
    return yield* this.become(name, 'none', state === 'late' ? 'visible' : 'commit');
  }

  private *become(name: string, state: SessionState, step: string): Step {
    this.states.set(name, state);
    if (state === 'none') this.wrote.delete(name);
    if (state === 'none' && this.truncating === name) this.truncating = undefined;
    const outcome = yield `${name} ${step}`;
    if (state === 'none' && this.extending?.delete(name) === true && this.extending.size === 0) yield* this.extended();
    return outcome;
  }

  /** Takes the other table in while transactions run that have written it, or go on to. */
  private *extend(): Step {
    if (this.extending !== undefined) return 'done';
    yield 'extend begins';
    if ((yield 'extend settles') === 'over') return yield* this.extended();
    this.extending = new Set(SESSIONS.filter((name) => this.states.get(name) !== 'none'));
    return 'done';
  }

  private *extended(): Step {
    this.extending = undefined;
    this.hasExtended = true;
    yield 'extend ends';
    // A stream that goes past the marker must know the table, or it would number what follows otherwise than the next one.
    yield 'stream closes';
    yield 'stream opens from last';
    return yield 'mark generation';
  }

  private *read(): Step {
    if (this.truncating !== undefined) return 'done';
    yield 'discover';
    yield 'plan any';
    return yield 'read';
  }

  /** What is completed now is what is visible now, whenever exactly it is read. */
  private *stream(): Step {
    if (this.truncating !== undefined || [...this.states.values()].includes('late')) return 'done';
    const outcome = yield 'stream rest';
    if (this.random() < 0.7) yield 'acknowledge last';
    return outcome;
  }

  private *reopen(): Step {
    yield 'stream closes';
    // The server may begin above l0, behind the other table's marker, which no pipeline meets with: it knows what it confirmed.
    yield `stream opens from ${this.hasExtended ? 'last' : this.pick(['last', 'l0'])}`;
    return yield* this.stream();
  }

  private *crash(): Step {
    yield 'crash';
    if (this.extending !== undefined) yield 'extend ends';
    this.extending = undefined;
    for (const [name, state] of this.states) {
      if (state === 'prepared') continue;
      this.states.set(name, 'none');
      this.wrote.delete(name);
    }
    if (this.truncating !== undefined && this.states.get(this.truncating) === 'none') this.truncating = undefined;
    yield 'stream closes';
    return yield 'stream opens from last';
  }

  private statement(): string {
    const id = 1 + Math.floor(this.random() * IDS);
    const other = 1 + Math.floor(this.random() * IDS);
    return `${this.random() < 0.25 ? 'other ' : ''}${this.main(id, other)}`;
  }

  private main(id: number, other: number): string {
    const name = `n${Math.floor(this.random() * 1000)}`;
    const chance = this.random();
    if (chance < 0.25) return `insert ${id} ${name} ${this.body()}`;
    if (chance < 0.5) return `update ${id} ${name}`;
    if (chance < 0.6) return `update ${id} ${name} ${this.body()}`;
    if (chance < 0.8) return `key ${id} ${other} ${name}`;
    return `delete ${id}`;
  }

  /** New to the row: a value that is written again as it was is another matter. */
  private body(): string {
    return `${this.random() < 0.7 ? 'L' : 'small'}${Math.floor(this.random() * 100_000)}`;
  }

  private pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.random() * of.length)] as T;
  }
}
