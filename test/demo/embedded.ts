import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { duckdbWarehouse } from '../compare/duckdb-end.ts';
import { DemoFailure } from './demo-context.ts';
import { PIPELINE } from './demo-options.ts';
import { type Deployment, lastWords, storyTeller } from './deployment.ts';
import { type PipelineProcess, startPipeline } from './pipeline-process.ts';
import { openProgress } from './progress.ts';
import type { Screen } from './screen.ts';
import type { Workplace } from './workplace.ts';

/** The pipeline in one process, with bus and state in a folder and DuckDB as its sink. Its pipelines file is written. */
export function embeddedDeployment(workplace: Workplace, screen: Screen): Deployment {
  let running: PipelineProcess | undefined;
  const required = () => running as PipelineProcess;
  const tell = storyTeller(screen);
  const launch = async () => {
    const { pipelinesFile: file, dataDir, directory } = workplace;
    running = startPipeline({ file, dataDir, directory, format: 'human' }, tell);
  };
  return {
    warehouse: duckdbWarehouse(workplace.duckdb),
    sinkName: 'DuckDB',
    victim: "the pipeline's process",
    launch,
    openProgress: async (signal) => {
      while (!existsSync(`${workplace.dataDir}/state`)) {
        const words = lastWords(required());
        if (words !== null) throw new DemoFailure(words);
        await pause(20, undefined, { signal });
      }
      return openProgress(workplace.dataDir, PIPELINE);
    },
    killVictim: () => required().kill(),
    restartVictim: launch,
    broken: () => lastWords(required()),
    tail: () => required().tail(15),
    memory: () => [{ name: 'pipeline', mb: required().peakMb() }],
    finish: async () => {
      const status = await required().interrupt();
      if (status !== 0)
        throw new DemoFailure([`The pipeline ended with status ${status} after Ctrl-C.`, ...required().tail(15)].join('\n'));
    },
    tellHowToLook: () => {
      screen.command(`npm run -s query -- ${workplace.duckdb} "SELECT * FROM public.orders LIMIT 5"`);
      screen.command(`npx nanosync start -f ${workplace.pipelinesFile} --data-dir ${workplace.dataDir}`);
      screen.command(`npx nanosync status --data-dir ${workplace.dataDir}`);
      screen.detail('DuckDB lets one process have the file: not while nanosync runs.');
    },
    [Symbol.asyncDispose]: async () => running?.kill(),
  };
}
