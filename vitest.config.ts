import { defineConfig } from 'vitest/config';

const everywhere = ['libs/**', 'services/**', 'tools/**', 'test/**'];
const named = (suffix: string) => everywhere.map((root) => `${root}/*.${suffix}test.ts`);

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      { test: { name: 'unit', include: named(''), exclude: ['**/node_modules/**', '**/*.{pg,cluster,e2e,fault}.test.ts'] } },
      { test: { name: 'pg', include: named('pg.'), testTimeout: 60_000, hookTimeout: 60_000 } },
      {
        test: {
          name: 'cluster',
          globalSetup: 'libs/testkit/src/stack/cluster-setup.ts',
          include: named('cluster.'),
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
      { test: { name: 'fault', include: named('fault.'), testTimeout: 120_000, hookTimeout: 60_000 } },
      { test: { name: 'e2e', include: named('e2e.'), testTimeout: 400_000, hookTimeout: 60_000, fileParallelism: false } },
    ],
  },
});
