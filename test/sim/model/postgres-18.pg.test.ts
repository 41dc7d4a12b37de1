import { describeSameness, describeScenarios } from '@nanosync/testkit';
import { randomOf } from '../../shared/random.ts';
import { modelScenarios } from './scenarios-model.ts';
import { postgresScenarios } from './scenarios-postgres.ts';

describeScenarios('PostgreSQL 18', () => postgresScenarios(18));

describeSameness('PostgreSQL 18 and the model', [() => postgresScenarios(18), async () => modelScenarios(() => 0)], {
  seeds: Array.from({ length: 6 }, (_, index) => 18 * 1000 + index),
  random: randomOf,
});
