import { describeSink } from '@nanosync/testkit';
import { contractHarness } from './contract-fixture.ts';

// The other parts are in `bigquery-contract.long.test.ts`: the emulator takes its time.
describeSink('bigquery', contractHarness, { parts: ['staging', 'applying', 'generations', 'release'], histories: 1 });
