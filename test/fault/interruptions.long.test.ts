import { test } from 'vitest';
import { sharedServer } from './fixture.ts';
import { endStream, MOMENTS, restartSource, SETTINGS, stopAndResume } from './interruptions.ts';

const server = sharedServer({ settings: SETTINGS });

test.for(MOMENTS)('stopped for longer than the server waits, and resumed, %s', (moment) => stopAndResume(server(), moment));

test.for(
  MOMENTS.flatMap((moment) => (['fast', 'immediate', 'kill'] as const).map((mode) => [mode, moment] as const)),
)('PostgreSQL restarts (%s) %s', ([mode, moment]) => restartSource(server(), mode, moment));

test.for(MOMENTS)('the walsender is ended again and again %s', (moment) => endStream(server(), moment));
