import type { PreflightPorts } from '@nanosync/api';
import type { PipelineDefinition, ServiceContext } from '@nanosync/core';
import { resolveSecrets } from '@nanosync/runtime';
import type { CliContext } from '../context.ts';
import type { CommonOptions } from './common.ts';
import { commandLog, serverSettings } from './common.ts';

/** Sources and sinks as a command of this process reaches them. */
export function preflightPorts(context: CliContext, options: CommonOptions): PreflightPorts & Pick<ServiceContext, 'openSink'> {
  const log = commandLog(context, options);
  const { memoryLimitBytes } = serverSettings(options);
  return {
    openSource: async (connection) => context.adapters.openSource(await resolveSecrets(connection, context), log),
    openSink: async (connection) => context.adapters.openSink(await resolveSecrets(connection, context), { memoryLimitBytes, log }),
    checkSink: async (connection, request) =>
      context.adapters.checkSink(await resolveSecrets(connection, context), request, { memoryLimitBytes, log }),
  };
}

/** Resolves the references of pipelines that run already: one that is not set stops a start before anything runs. */
export async function requireSecrets(context: CliContext, definitions: readonly PipelineDefinition[]): Promise<void> {
  for (const { source, sink } of definitions) {
    await resolveSecrets(source.connection, context);
    await resolveSecrets(sink.connection, context);
  }
}
