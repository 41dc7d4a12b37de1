import { PipelineError } from '@nanosync/core';
import type { CliContext } from '../context.ts';
import { EXIT_FAILED, EXIT_OK } from '../context.ts';
import { unhealthy } from '../health.ts';
import { answering, placeOf, topicsAt } from '../place.ts';
import type { CommonOptions } from './common.ts';
import { commandLog } from './common.ts';
import { healthFile } from './serving.ts';

/**
 * Says whether a serving process is well, by the file that it writes, and whether the engines of a server file answer. Exit status 0 when all
 * that was asked is well, 1 when not.
 */
export async function health(context: CliContext, options: CommonOptions): Promise<number> {
  const file = healthFile(context, options);
  if (file === undefined && options.config === undefined)
    throw new PipelineError('config', 'There is nothing to look at.', {
      hint: 'Name the file that a serving nanosync writes with --health-file, a server file with --config, or both.',
    });
  const trouble = file === undefined ? undefined : unhealthy(file, context.clock.nowMs());
  const said = trouble === undefined ? undefined : context.redactor.redact(trouble);
  if (options.json !== true) {
    if (said !== undefined) context.err(said);
    else if (file !== undefined) context.out('the services of this process run');
  }
  if (options.config !== undefined) await requireEngines(context, options);
  const engines = options.config === undefined ? null : true;
  if (options.json === true)
    context.out(JSON.stringify({ services: file === undefined ? null : said === undefined, engines, trouble: said ?? null }));
  else if (engines !== null) context.out('state store, bus and schema registry answer');
  return trouble === undefined ? EXIT_OK : EXIT_FAILED;
}

/** One real call to each. What is not as it must be is thrown: wrong passwords are not a matter of health. */
async function requireEngines(context: CliContext, options: CommonOptions): Promise<void> {
  const place = await placeOf(context, options);
  if (place.kind === 'embedded')
    throw new PipelineError('config', `${options.config} names no engines: bus and state are embedded.`, { hint: 'Leave --config out.' });
  await using state = await answering(context.adapters.openState(place));
  await state.get('health');
  const { bus } = await answering(context.adapters.openBus(place, commandLog(context, options)));
  await using _ = bus;
  await bus.topic(topicsAt(place).tasks);
}
