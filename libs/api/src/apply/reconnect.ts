import type { CaptureRecord, PipelineRecord, State } from '@nanosync/core';
import { describeError, PipelineError, readRecord, recordedTables, sameConnection, stateKeys } from '@nanosync/core';
import type { PlannedApply } from './plan.ts';
import type { PreflightPorts } from './preflight.ts';

/**
 * Looks whether the new source connection of a pipeline that is anchored leads to the database that it follows, where its slot is and the
 * log from what is published on, and may read its tables. Touches nothing. Throws PipelineError `prerequisite` with a line for what is not so.
 */
export async function requireSameSource(ports: PreflightPorts, state: State, plans: readonly PlannedApply[]): Promise<void> {
  const lines: string[] = [];
  for (const { definition } of plans) {
    const { name, source } = definition;
    const stored = (await readRecord<PipelineRecord>(state, stateKeys.pipeline(name)))?.value;
    if (stored === undefined || stored.anchor === null || sameConnection(stored.definition.source.connection, source.connection)) continue;
    lines.push(...(await problemsOf(ports, state, stored, definition)));
  }
  if (lines.length > 0) throw new PipelineError('prerequisite', lines.join('\n'));
}

async function problemsOf(
  ports: PreflightPorts,
  state: State,
  stored: PipelineRecord,
  { name, source: { connection } }: PlannedApply['definition'],
): Promise<readonly string[]> {
  const place = `pipeline ${name}, source ${connection.name}`;
  try {
    await using source = await ports.openSource(connection);
    const problems = await source.check(name, recordedTables(stored), { columns: stored.definition.source.columns });
    if (problems.length > 0) return problems.map(({ what, cure }) => `${place}: ${what} ${cure}`);
    const capture = (await readRecord<CaptureRecord>(state, stateKeys.capture(name)))?.value;
    const anchor = stored.anchor as NonNullable<PipelineRecord['anchor']>;
    await source.verify(name, anchor, capture?.anchor === anchor.id ? capture.published : null);
    return [];
  } catch (error) {
    if (!(error instanceof PipelineError) || error.kind === 'defect') throw error;
    if (error.kind !== 'gap') return [`${place}: ${describeError(error)}`];
    return [
      `${place}: it does not lead to what the pipeline follows: ${error.message} Put the old connection back, or apply the pipeline under a new name, which copies everything.`,
    ];
  }
}
