import type { FailpointName } from '@nanosync/core';
import { FAILPOINTS, PipelineError } from '@nanosync/core';
import { nearest } from './config/suggest.ts';

/** Ends this process as a power cut would: nothing is flushed, no handler runs. */
function killSelf(): void {
  process.kill(process.pid, 'SIGKILL');
}

/**
 * The failpoint function of a process. `spec` is `name` or `name:N`: the process kills itself at the Nth time the place is
 * reached. Without a spec nothing happens anywhere. A name that does not exist is refused, or a test would prove nothing.
 */
export function failpointOf(spec: string | undefined, die: () => void = killSelf): (name: FailpointName) => void {
  if (spec === undefined || spec === '') return () => {};
  const [, name = '', count = '1'] = /^([^:]*)(?::(\d+))?$/.exec(spec) ?? [];
  const wanted = FAILPOINTS.find((known) => known === name);
  if (wanted === undefined || Number(count) < 1) {
    const near = nearest(name, FAILPOINTS);
    const hint =
      near !== undefined && near !== name ? `Did you mean ${near}?` : `Known are ${FAILPOINTS.join(', ')}, each alone or as name:N.`;
    throw new PipelineError('config', `NANOSYNC_FAILPOINT=${spec} names no failpoint.`, { hint });
  }
  let left = Number(count);
  return (reached) => {
    if (reached === wanted && --left === 0) die();
  };
}
