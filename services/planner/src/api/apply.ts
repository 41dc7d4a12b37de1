import type { ApiParts, ApplyAnswer, PlannedApply, RequestOf } from '@nanosync/api';
import { planApply, preflight, requireSameSource, storeDefinitions, toCheck, withLeftRows } from '@nanosync/api';

/**
 * Plans definitions against what is stored, looks at the source and sink of what comes, and stores all or nothing. Asking twice is asking
 * once, so a caller that got no answer asks again.
 */
export async function applyHandler(parts: ApiParts, request: RequestOf<'apply'>['body']): Promise<ApplyAnswer> {
  const { state, clock, log, openSource, openSink } = parts.ctx;
  const { definitions, dryRun = false, check = true, confirmed = false } = request;
  const planned = await planApply(state, definitions);
  const ports = { openSource, checkSink: parts.checkSink };
  const isLooked = check || !dryRun;
  if (isLooked) {
    await preflight(
      ports,
      planned.flatMap((plan) => toCheck(plan) ?? []),
    );
    await requireSameSource(ports, state, planned);
  }
  const complete = (some: readonly PlannedApply[]) => withLeftRows(openSink, some, { lenient: !isLooked });
  const plans = await complete(planned);
  if (dryRun) return answerOf(plans, false);
  const stored = await storeDefinitions(state, plans, { clock, confirmed, complete });
  for (const { definition, outcome } of stored)
    if (outcome !== 'unchanged') log.info('pipeline applied', { pipeline: definition.name, outcome });
  return answerOf(stored, true);
}

function answerOf(plans: readonly PlannedApply[], applied: boolean): ApplyAnswer {
  const pipelines = plans.map(({ definition, outcome, edits }) => ({ name: definition.name, outcome, edits: [...edits] }));
  return { applied, pipelines };
}
