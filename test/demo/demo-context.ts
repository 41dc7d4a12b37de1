import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { DemoOptions } from './demo-options.ts';
import type { Deployment } from './deployment.ts';
import type { Progress, ProgressReader } from './progress.ts';
import type { Screen } from './screen.ts';
import type { Workplace } from './workplace.ts';
import type { Writers } from './writers.ts';

/** Something went wrong that the demo can say in a sentence. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure';
}

/** What all steps of a demo work with. */
export interface DemoContext {
  readonly options: DemoOptions;
  readonly screen: Screen;
  readonly signal: AbortSignal;
  readonly workplace: Workplace;
  readonly dsn: string;
  /** A connection to the source for the demo's own questions. */
  readonly admin: pg.Client;
  readonly writers: Writers;
  readonly progress: ProgressReader;
  readonly tables: readonly string[];
  /** The running pipeline. */
  readonly deployment: Deployment;
}

/** How long nothing may move before the demo gives up. */
const STUCK_MS = 120_000;

/**
 * Looks at the pipeline again and again until `done` says so. Fails with its own words when the pipeline did, when its process
 * ended, or when nothing moved for a long time.
 */
export async function watch(
  context: DemoContext,
  what: string,
  done: (progress: Progress) => boolean | Promise<boolean>,
  everyMs = 50,
): Promise<Progress> {
  let before = '';
  let movedAt = performance.now();
  for (;;) {
    const broken = context.deployment.broken();
    if (broken !== null) throw new DemoFailure(broken);
    const progress = await context.progress.read();
    if (progress?.failure != null) throw new DemoFailure(`The pipeline failed: ${progress.failure}`);
    if (progress !== undefined && (await done(progress))) return progress;
    const now = JSON.stringify(progress ?? null);
    if (now !== before) movedAt = performance.now();
    before = now;
    if (performance.now() - movedAt > STUCK_MS) {
      const reason = progress?.waiting == null ? '' : ` It waits: ${progress.waiting}`;
      throw new DemoFailure(
        [`Nothing moved for ${STUCK_MS / 1000} s while waiting for ${what}.${reason}`, ...context.deployment.tail()].join('\n'),
      );
    }
    await pause(everyMs, undefined, { signal: context.signal });
  }
}
