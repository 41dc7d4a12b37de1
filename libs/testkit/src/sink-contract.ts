import type { Sink } from '@nanosync/core';
import { afterEach, beforeEach, describe } from 'vitest';
import { describeAdopting } from './sink-contract-adopting.ts';
import { describeApplying } from './sink-contract-applying.ts';
import { describeGenerations } from './sink-contract-generations.ts';
import { describeRelease } from './sink-contract-release.ts';
import { describeResults } from './sink-contract-results.ts';
import { describeScanning } from './sink-contract-scanning.ts';
import { describeStaging } from './sink-contract-staging.ts';
import { ORDERS } from './sink-fixtures.ts';
import { propertyOfHistories } from './sink-property.ts';
import type { Scenario, SinkHarness } from './sink-scenario.ts';

/** Registers the tests that every {@link Sink} has to pass; `histories`: how many random ones are tried. */
export function describeSink(name: string, makeHarness: () => Promise<SinkHarness>, { histories = 25 } = {}): void {
  describe(`sink contract: ${name}`, () => {
    const the = { seen: () => the.harness.read(ORDERS.table) } as { harness: SinkHarness; sink: Sink; seen: Scenario['seen'] };
    beforeEach(async () => {
      the.harness = await makeHarness();
      the.sink = await the.harness.open();
    });
    afterEach(async () => {
      await the.sink[Symbol.asyncDispose]();
      await the.harness[Symbol.asyncDispose]();
    });
    describeStaging(the);
    describeApplying(the);
    describeGenerations(the);
    describeResults(the);
    describeAdopting(the);
    describeScanning(the);
    describeRelease(the);
    propertyOfHistories(makeHarness, histories);
  });
}
