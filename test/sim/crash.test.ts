import { describe, expect, it, vi } from 'vitest';
import type { Fate } from './process.ts';
import type { Outcome } from './scenario.ts';
import { runScenario } from './scenario.ts';
import { SERVICES } from './world.ts';

vi.setConfig({ testTimeout: 60_000 });

/** Calls tried of each service and fate; `npm run sim` tries every one. */
const TRIED = 5;
const KINDS: readonly Fate['kind'][] = ['before', 'after', 'pause', 'refuse', 'lost'];

/** What a sound run comes to: the sink equals the source, nobody had to repair anything, and no service met what must not be. */
function expectSound(outcome: Outcome, what: string): void {
  expect({ what, problem: outcome.problem, failures: outcome.failures, ended: outcome.ended }).toEqual({
    what,
    problem: null,
    failures: [],
    ended: [],
  });
}

describe('the whole system', () => {
  it('copies and follows', async () => {
    expectSound(await runScenario({ seed: 1 }), 'undisturbed');
  });

  for (const service of SERVICES)
    it(`is right when two of ${service} run at once`, async () => {
      for (const seed of [1, 2]) expectSound(await runScenario({ seed, twice: [service], rewrite: seed === 2 }), `seed ${seed}`);
    });

  for (const service of SERVICES)
    for (const kind of KINDS)
      it(`is right when ${service} meets "${kind}" at any call`, async () => {
        const rewrite = service === 'planner';
        const { calls } = await runScenario({ seed: 4, rewrite });
        for (let tried = 0; tried < TRIED; tried++) {
          // Not the same places for every kind; half of all calls come before the table is built.
          const call = 1 + Math.floor((calls[service] * (tried + KINDS.indexOf(kind) / KINDS.length)) / TRIED);
          const outcome = await runScenario({ seed: 4, rewrite, fates: [{ service, fate: { call, kind } }] });
          expectSound(outcome, `${service} ${kind} ${call}`);
        }
      });

  it('is right, and makes fewer steps, when the sink wants more of each, whoever dies', async () => {
    const pace = { stageBytes: 20_000, applyBytes: 4000, stageWaitMs: 3000, applyWaitMs: 400, lookEveryMs: 250 };
    const undisturbed = await runScenario({ seed: 4, pace });
    expectSound(undisturbed, 'undisturbed');
    expect(undisturbed.calls.writer).toBeLessThan((await runScenario({ seed: 4 })).calls.writer);
    for (const kind of KINDS)
      for (let tried = 0; tried < TRIED / 2; tried++) {
        const call = 1 + Math.floor((undisturbed.calls.writer * tried * 2) / TRIED);
        expectSound(await runScenario({ seed: 4, pace, fates: [{ service: 'writer', fate: { call, kind } }] }), `${kind} ${call}`);
      }
  });

  it('is right when capture dies within a transaction that it publishes in pieces', async () => {
    const { calls } = await runScenario({ seed: 7, bulk: true });
    for (const kind of ['before', 'after'] as const)
      for (let tried = 0; tried < 4; tried++) {
        const call = Math.floor(calls.capture * (0.3 + tried * 0.06 + (kind === 'after' ? 0.02 : 0)));
        expectSound(await runScenario({ seed: 7, bulk: true, fates: [{ service: 'capture', fate: { call, kind } }] }), `${kind} ${call}`);
      }
  });

  it('starts over on demand, from wherever it is', async () => {
    for (const resnapshotAtMs of [40, 300, 1300]) expectSound(await runScenario({ seed: 5, resnapshotAtMs }), `at ${resnapshotAtMs} ms`);
  });

  it('is right, without a repair, when the state store loses no more of its newest writes than it said', async () => {
    for (const [atMs, byMs] of [
      [120, 50],
      [420, 300],
      [780, 300],
      [900, 900],
      [1020, 900],
      [1320, 900],
    ] as const)
      expectSound(await runScenario({ seed: 6, mayLoseMs: 1500, rewinds: [{ atMs, byMs }] }), `${byMs} ms at ${atMs} ms`);
  });

  it('is right when the state store lost its newest writes while nothing was going on, and capture begins again much later', async () => {
    for (const after of [1000, 1600, 2500]) {
      const restart = { service: 'capture', atMs: 1500 + after } as const;
      expectSound(await runScenario({ seed: 6, mayLoseMs: 1500, rewinds: [{ atMs: 1500, byMs: 900 }], restart }), `${after} ms later`);
    }
  });

  it('equals the source, or names the repair and equals it then, when the state store loses its newest writes', async () => {
    for (const [atMs, byMs] of [
      [60, 60],
      [220, 200],
      [380, 120],
      [700, 400],
      [1300, 791],
    ] as const) {
      const outcome = await runScenario({ seed: 6, repair: true, rewinds: [{ atMs, byMs }] });
      expect({ atMs, problem: outcome.problem, ended: outcome.ended }).toEqual({ atMs, problem: null, ended: [] });
    }
  });
});

describe('a bus that lost what it had acknowledged', () => {
  for (const [ending, atMs] of [
    ['.rows', 100],
    ['.rows', 340],
    ['.changes', 340],
    ['.changes', 600],
  ] as const)
    it.each([1, 3, 'topic'] as const)(`is noticed, and its cure cures: ${ending} at ${atMs} ms, %s`, async (count) => {
      const outcome = await runScenario({ seed: 3, repair: true, loses: { atMs, ending, count } });
      expect({ problem: outcome.problem, ended: outcome.ended }).toEqual({ problem: null, ended: [] });
    });
});

it('builds a lost warehouse anew from the bus, without the source', async () => {
  for (const loseWarehouseAtMs of [120, 360, 700, 2000]) {
    const outcome = await runScenario({ seed: 8, loseWarehouseAtMs });
    expectSound(outcome, `at ${loseWarehouseAtMs} ms`);
    expect(outcome.log.filter((line) => line.includes('pipeline anchored'))).toHaveLength(1);
  }
});

describe('what was wrong once', () => {
  it('requests L1 of a table that the sink built before its planner knew that all of it was read', async () => {
    for (const kind of ['before', 'after', 'pause'] as const)
      expectSound(await runScenario({ seed: 1, fates: [{ service: 'planner', fate: { call: 47, kind } }] }), kind);
  });

  it("publishes a table's last watermark although the session that owed it died", async () => {
    for (let call = 163; call < 172; call++)
      expectSound(await runScenario({ seed: 1, fates: [{ service: 'capture', fate: { call, kind: 'after' } }] }), `call ${call}`);
  });

  it('publishes what it quarantined although the bus was away just then', async () => {
    const { calls } = await runScenario({ seed: 1, orphanAtMs: 1500 });
    for (const kind of ['refuse', 'lost'] as const)
      for (let call = calls.writer - 70; call < calls.writer; call += 2) {
        const outcome = await runScenario({ seed: 1, orphanAtMs: 1500, fates: [{ service: 'writer', fate: { call, kind } }] });
        expectSound(outcome, `${kind} ${call}`);
        expect(outcome.quarantined).toBeGreaterThan(0);
      }
  });

  it('never mixes two plans of one epoch', async () => {
    expectSound(await runScenario({ seed: 1, rewinds: [{ atMs: 60, byMs: 60 }] }), 'a plan that the store forgot');
  });

  it("does not take another session's progress for a gap", async () => {
    expectSound(await runScenario({ seed: 4, rewrite: true, fates: [{ service: 'capture', fate: { call: 8, kind: 'pause' } }] }), 'pause');
  });

  it('tells a store that forgot it what is at the sink', async () => {
    const outcome = await runScenario({ seed: 361580, repair: true, rewinds: [{ atMs: 1258, byMs: 784 }] });
    expect(outcome.problem).toBeNull();
  });

  it('fails, with the cure, when the sink gave up what a store that forgot it calls durable', async () => {
    const outcome = await runScenario({
      seed: 533561,
      fates: [
        { service: 'worker', fate: { call: 31, kind: 'before' } },
        { service: 'writer', fate: { call: 125, kind: 'pause' } },
      ],
      twice: ['planner', 'writer'],
      repair: true,
      resnapshotAtMs: 1221,
      rewinds: [{ atMs: 1435, byMs: 354 }],
    });
    expect(outcome.problem).toBeNull();
    expect(outcome.failures).toEqual([expect.stringContaining('neither at the sink nor on the bus')]);
  });
});
