import { describeScenarios } from '@nanosync/testkit';
import { postgresScenarios } from './scenarios-postgres.ts';

describeScenarios('PostgreSQL 18', () => postgresScenarios(18));
