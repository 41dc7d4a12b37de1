import { PARTITION_MACHINE, PIPELINE_MACHINE, TABLE_MACHINE } from '@nanosync/core';
import { FAULT_NAMES } from './faults.ts';
import { Occurrences } from './occurrences.ts';
import { FED_BESIDE } from './oracle.ts';
import { OPERATIONS } from './plan.ts';
import { POINTS } from './points.ts';

const MORE_OPERATIONS = ['inserted again', 'rolled back', 'prepared', 'long open', 'visible late'];

/** What needs a coincidence: expected of a long run only. */
const RARE = ['pipeline anchored -> failed', 'partition planned -> durable'];
/** What is wrong with a paused pipeline is met once it is resumed. */
const NEVER = ['pipeline paused -> failed'];
const LONG_RUN = 2000;

/** An empty table of everything that a run of the simulation must have seen, by how many seeds it has. */
export function expectedOccurrences(seeds = Number.POSITIVE_INFINITY): Occurrences {
  const occurrences = new Occurrences();
  occurrences.expect('operation', [...OPERATIONS, ...MORE_OPERATIONS]);
  occurrences.expect('fault', ['crash', ...FAULT_NAMES]);
  occurrences.expect(
    'transition',
    transitions().filter((name) => seeds >= LONG_RUN || !RARE.includes(name)),
  );
  for (const when of ['before', 'after'])
    occurrences.expect(
      'crash',
      POINTS.map(({ service, call }) => `${service} ${call} ${when}`),
    );
  return occurrences;
}

/** Phases that a pipeline which follows changes does not come into or leave; `copies.sim.test.ts` expects those of `completed`. */
const UNREACHED = ['stopped', 'completed'];

const RESUMES = ['resume-created', 'resume-anchored', 'resume-snapshotting', 'resume-streaming'] as const;

/** Steps of the state machines that lead from one phase to another, and what changes the epoch of a table. */
function transitions(): readonly string[] {
  const events = {
    pipeline: [PIPELINE_MACHINE, ['anchor', 'plan', 'all-built', 'fail', 'resnapshot', 'pause', ...RESUMES]],
    table: [TABLE_MACHINE, ['ranges', 'built', 'caught-up', 'void']],
    partition: [PARTITION_MACHINE, ['take', 'read', 'durable']],
  } as const;
  const names = Object.entries(events).flatMap(([machine, [phases, wanted]]) =>
    Object.entries(phases).flatMap(([phase, nexts]) =>
      (UNREACHED.includes(phase) ? [] : wanted).flatMap((event) => {
        const next = (nexts as Record<string, string | null>)[event];
        return next === null || next === undefined || next === phase ? [] : [`${machine} ${phase} -> ${next}`];
      }),
    ),
  );
  return [
    ...new Set([
      ...names.filter((name) => !NEVER.includes(name)),
      'table anchored anew',
      'table plan void',
      'table epoch renewed',
      'table copied anew',
      'table taken out',
      FED_BESIDE,
    ]),
  ];
}
