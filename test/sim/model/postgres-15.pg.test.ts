import { describeSameness, describeScenarios } from '@nanosync/testkit';
import { randomOf } from '../../shared/random.ts';
import { modelScenarios } from './scenarios-model.ts';
import { postgresScenarios } from './scenarios-postgres.ts';

describeScenarios('PostgreSQL 15', () => postgresScenarios(15));

describeSameness('PostgreSQL 15 and the model', [() => postgresScenarios(15), async () => modelScenarios(() => 0)], {
  seeds: Array.from({ length: 6 }, (_, index) => 15 * 1000 + index),
  random: randomOf,
});
