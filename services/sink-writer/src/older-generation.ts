import type { GenerationId } from '@nanosync/core';
import { isKind } from '@nanosync/core';
import type { OlderApplier } from './change-applier.ts';
import { ChangeApplier } from './change-applier.ts';
import type { TableWork } from './table-writer.ts';

/** How often an older generation that is held looks whether it may go on, in milliseconds. */
const HELD_LOOK_MS = 50;

/**
 * Feeds the generation that users see while `newer` builds the one that is to take its place, and ends it when `newer` returns. Each has a
 * progress of its own at the sink, both under this owner's token. What breaks one ends both, but for changes that do not fit the older one's
 * columns: then it stays as it is until the switch.
 */
export async function besideOlder(
  work: TableWork,
  generation: GenerationId,
  token: string,
  newer: (work: TableWork, older: OlderApplier) => Promise<void>,
): Promise<void> {
  const { ctx } = work;
  const ending = new AbortController();
  const end = () => ending.abort();
  ctx.signal.addEventListener('abort', end, { once: true });
  if (ctx.signal.aborted) end();
  const inner = { ...work, ctx: { ...ctx, signal: ending.signal } };
  const report = work.report.older();
  let held = false;
  const turn = async () => {
    while (held && !ending.signal.aborted) await ctx.clock.sleep(HELD_LOOK_MS, ending.signal);
  };
  let failed: { readonly error: unknown } | undefined;
  try {
    const applier = await ChangeApplier.open({ ...inner, report, generation, token, turn, isWanted: false });
    const older: OlderApplier = {
      get progress() {
        return applier.progress;
      },
      get isApplying() {
        return applier.isApplying;
      },
      hold: (hold) => {
        held = hold;
      },
    };
    const feeding = applier.run().catch(async (error: unknown) => {
      if (ending.signal.aborted) return;
      if (isKind(error, 'table-changed')) return stopped(inner, report, error.message);
      failed = { error };
      end();
    });
    await newer(inner, older).catch((error: unknown) => {
      failed ??= { error };
    });
    end();
    await feeding;
  } finally {
    end();
    ctx.signal.removeEventListener('abort', end);
  }
  if (failed !== undefined) throw failed.error;
}

/** It gets no more changes; users see it as it is until the switch. */
async function stopped({ ctx, table }: TableWork, report: ReturnType<TableWork['report']['older']>, reason: string): Promise<void> {
  ctx.log.warn('older generation gets no more changes', { table, reason });
  await report.fail({ reason, cure: 'The copy that is being made takes its place.' });
}
