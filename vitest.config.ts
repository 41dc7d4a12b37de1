import { defineConfig } from 'vitest/config';

const everywhere = ['libs/**', 'services/**', 'tools/**', 'test/**'];
const named = (suffix: string) => everywhere.map((root) => `${root}/*.${suffix}test.ts`);

/** Nothing has global state, so files need no process each: half the processor time of the unit tests. */
const together = { isolate: false };

/** Nothing runs before a test asks for it. */
const sharedServices = 'libs/testkit/src/stack/cluster-setup.ts';

export default defineConfig({
  test: {
    maxWorkers: 3, // They mostly wait for processes of their own: two leave a third of two cores idle.
    projects: [
      {
        test: {
          name: 'unit',
          include: named(''),
          exclude: ['**/node_modules/**', '**/*.{pg,sim,cluster,e2e,fault,long}.test.ts'],
          ...together,
          testTimeout: 20_000,
        },
      },
      { test: { ...together, name: 'sim', include: named('sim.'), testTimeout: 120_000 } },
      { test: { ...together, name: 'pg', include: named('pg.'), testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        test: {
          ...together,
          name: 'cluster',
          globalSetup: sharedServices,
          include: named('cluster.'),
          testTimeout: 60_000,
          hookTimeout: 300_000, // The first run downloads the services.
        },
      },
      { test: { ...together, name: 'fault', include: named('fault.'), testTimeout: 300_000, hookTimeout: 60_000 } },
      {
        test: {
          ...together,
          name: 'e2e',
          globalSetup: sharedServices,
          include: named('e2e.'),
          testTimeout: 400_000,
          hookTimeout: 300_000,
        },
      },
      // What takes minutes: `npm run test:long`.
      {
        test: {
          name: 'long',
          globalSetup: sharedServices,
          include: named('long.'),
          testTimeout: 900_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
