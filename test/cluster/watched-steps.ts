import { setTimeout as pause } from 'node:timers/promises';
import { pipelineStatus } from '@nanosync/runtime';
import type { ClusterScenario } from '../fault/cluster-scenario.ts';
import { PIPELINE } from '../fault/scenario.ts';

/** What a table did while a step was taken. */
interface Seen {
  /** Changes that users saw arrive, by the counters of each generation that they saw. */
  applied: number;
  last: number;
  mostLag: number;
}

const LOOK_EVERY_MS = 1000;

/** Takes a step in a pipeline's life, looks meanwhile at what users see of each table, and prints it with how long the step took. */
export async function watched(scenario: ClusterScenario, name: string, step: () => Promise<unknown>): Promise<void> {
  const begun = performance.now();
  const seen = new Map<string, Seen>();
  const ending = new AbortController();
  const watching = (async () => {
    while (!ending.signal.aborted) {
      await look(scenario, seen).catch(() => undefined); // The step says what is wrong.
      await pause(LOOK_EVERY_MS, undefined, { signal: ending.signal }).catch(() => undefined);
    }
  })();
  try {
    await step();
    await look(scenario, seen); // What it waited for may have come just now.
  } finally {
    ending.abort();
    await watching;
  }
  const seconds = Math.round((performance.now() - begun) / 100) / 10;
  const tables = [...seen].map(([table, { applied, mostLag }]) => `${table} +${applied}, lag up to ${mostLag} s`);
  console.log(`${name}: ${seconds} s; ${tables.join('; ')}`);
}

async function look(scenario: ClusterScenario, seen: Map<string, Seen>): Promise<void> {
  for (const { table, older, changesApplied, lag } of (await pipelineStatus(await scenario.stored(), PIPELINE))?.tables ?? []) {
    const applied = older?.changesApplied ?? changesApplied;
    const before = seen.get(table) ?? { applied: 0, last: applied, mostLag: 0 };
    const more = applied >= before.last ? applied - before.last : applied; // A new generation counts from the start.
    seen.set(table, { applied: before.applied + more, last: applied, mostLag: Math.max(before.mostLag, lag?.seconds ?? 0) });
  }
}
