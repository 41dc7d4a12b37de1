import type { Fate } from './process.ts';
import { runScenario } from './scenario.ts';
import { SERVICES } from './world.ts';

/**
 * Lets every service meet every fate at every call of a port, or at every `stride`th: `npm run sim -- [stride] [seed]`. Prints what
 * went wrong, each line enough to run it again, and exits with 1 then.
 */
async function main(): Promise<void> {
  const [stride = 1, seed = 1] = process.argv.slice(2).map(Number);
  const kinds: readonly Fate['kind'][] = ['before', 'after', 'pause', 'refuse', 'lost'];
  let [runs, wrong] = [0, 0];
  for (const rewrite of [false, true])
    for (const resnapshot of [false, true]) {
      const base = { seed, rewrite, ...(resnapshot ? { resnapshotAtMs: 500 } : {}) };
      const { calls } = await runScenario(base);
      for (const service of SERVICES)
        for (const kind of kinds)
          for (let call = 1 + (runs % stride); call <= calls[service]; call += stride) {
            const scenario = { ...base, fates: [{ service, fate: { call, kind } }] };
            const { problem, failures, ended } = await runScenario(scenario);
            runs++;
            if (problem === null && failures.length === 0 && ended.length === 0) continue;
            wrong++;
            process.stdout.write(`${JSON.stringify({ scenario, problem, failures, ended })}\n`);
          }
    }
  process.stdout.write(`${runs} runs, ${wrong} wrong\n`);
  process.exit(wrong === 0 ? 0 : 1);
}

await main();
