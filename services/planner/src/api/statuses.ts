import type { ApiParts, StatusAnswer } from '@nanosync/api';
import type { PipelineStatus } from '@nanosync/runtime';
import { absentServices, pipelineStatus, pipelineStatuses } from '@nanosync/runtime';
import { unknownPipeline } from './commands.ts';

/** Where all pipelines stand. */
export async function allStatuses(parts: ApiParts): Promise<StatusAnswer> {
  return answerOf(parts, await pipelineStatuses(parts.ctx.state));
}

/** Where one stands. */
export async function oneStatus(parts: ApiParts, name: string): Promise<StatusAnswer> {
  const status = await pipelineStatus(parts.ctx.state, name);
  if (status === undefined) throw await unknownPipeline(parts.ctx.state, name);
  return answerOf(parts, [status]);
}

/** Services of one process are there as long as it is; in a cluster it is looked who holds the leases. */
async function answerOf({ ctx, clustered }: ApiParts, pipelines: readonly PipelineStatus[]): Promise<StatusAnswer> {
  if (!clustered) return { serving: true, pipelines };
  const absent: Record<string, readonly string[]> = {};
  for (const status of pipelines) {
    const services = await absentServices(ctx.state, status);
    if (services.length > 0) absent[status.name] = services;
  }
  return { serving: Object.keys(absent).length === 0, absent, pipelines };
}
