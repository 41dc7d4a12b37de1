import { describeScenarios } from '@nanosync/testkit';
import { randomOf } from '../../shared/random.ts';
import { modelScenarios } from './scenarios-model.ts';

describeScenarios('model', async () => modelScenarios(() => 0));

for (const seed of [1, 2, 3, 4, 5])
  describeScenarios(
    `model, seed ${seed}`,
    async () => modelScenarios(randomOf(seed)),
    ({ typical }) => typical !== true,
  );
