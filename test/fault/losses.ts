import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { vi } from 'vitest';
import type { Scenario } from './scenario.ts';
import { removeFiles } from './scenario.ts';

/** Writers and process begin, or begin again, and changes of this life arrive. */
export async function goLive(scenario: Scenario, seed: number): Promise<void> {
  const published = (await scenario.look())?.capture?.eventsPublished ?? 0;
  scenario.write(seed);
  await scenario.serve();
  await scenario.live();
  await scenario.until('changes arrive', ({ capture }) => (capture?.eventsPublished ?? 0) > published + 20);
}

/** Kills the process and puts back what it had written to a path a while before. */
export async function restoreOlder(scenario: Scenario, path: string, beforeKill = async (_published: string) => {}): Promise<void> {
  await scenario.stop();
  await scenario.closeState();
  const copy = join(scenario.workplace.directory, 'copy');
  cpSync(path, copy, { recursive: true });
  scenario.start();
  const { capture: now } = await scenario.live();
  const before = now?.eventsPublished ?? 0;
  await scenario.until('more was published', ({ capture }) => (capture?.eventsPublished ?? 0) > before + 200);
  await beforeKill(now?.published ?? '');
  await scenario.kill();
  await scenario.closeState();
  removeFiles(path);
  cpSync(copy, path, { recursive: true });
  scenario.start();
}

/** The slot has been told that this place is published: until then an older state has lost nothing that it needs. */
export async function confirmed(scenario: Scenario, published: string): Promise<void> {
  const lsn = BigInt(`0x${published.slice(0, 16)}`);
  const place = `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`;
  const slots = `SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND confirmed_flush_lsn > '${place}'`;
  await vi.waitUntil(async () => (await scenario.sql(slots)).length > 0, { timeout: 60_000 });
}
