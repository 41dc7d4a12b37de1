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

const PARTS = {
  staging: describeStaging,
  applying: describeApplying,
  generations: describeGenerations,
  results: describeResults,
  adopting: describeAdopting,
  scanning: describeScanning,
  release: describeRelease,
} as const;

/** A part of the contract. */
export type SinkContractPart = keyof typeof PARTS;

/** What of the contract is tried: all parts unless some are named; `histories`: how many random ones. */
export interface SinkContractOptions {
  readonly parts?: readonly SinkContractPart[];
  readonly histories?: number;
}

/** Registers the tests that every {@link Sink} has to pass. */
export function describeSink(name: string, makeHarness: () => Promise<SinkHarness>, options: SinkContractOptions = {}): void {
  const { parts = Object.keys(PARTS) as SinkContractPart[], histories = 25 } = options;
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
    for (const part of parts) PARTS[part](the);
    if (histories > 0) propertyOfHistories(makeHarness, histories);
  });
}
