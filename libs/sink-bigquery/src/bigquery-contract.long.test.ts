import { describeSink } from '@nanosync/testkit';
import { contractHarness } from './contract-fixture.ts';

describeSink('bigquery', contractHarness, { parts: ['results', 'adopting', 'scanning'], histories: 3 });
