import type { Deployment, ProcessMemory } from './deployment.ts';

/** Keeps the most memory that each of the pipeline's processes had, over its restarts, by looking now and then. */
export function watchMemory(deployment: Deployment): Disposable & { peaks(): readonly ProcessMemory[] } {
  const peaks = new Map<string, number>();
  const look = () => {
    for (const { name, mb } of deployment.memory()) peaks.set(name, Math.max(peaks.get(name) ?? 0, mb));
  };
  const timer = setInterval(look, 200);
  return {
    peaks: () => [...peaks].map(([name, mb]) => ({ name, mb })),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
