import { describeScenarios } from '@nanosync/testkit';
import { postgresScenarios } from './scenarios-postgres.ts';

describeScenarios('PostgreSQL 15', () => postgresScenarios(15));
