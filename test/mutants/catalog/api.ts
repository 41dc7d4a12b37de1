import type { Mutant, NamedTest } from '../mutant.ts';

const plan = (title: string): NamedTest => ({ project: 'unit', file: 'libs/api/src/apply/plan.test.ts', title });

/** What would let a command do what nobody confirmed, or a pipeline go on at another database. */
export const API_MUTANTS: readonly Mutant[] = [
  {
    name: 'apply-drops-unasked',
    invariant: 'nothing-skipped',
    does: 'Rows that users see go although nobody confirmed it.',
    file: 'libs/api/src/apply/plan.ts',
    find: 'if (!confirmed) requireHarmless(current);',
    replace: '',
    test: plan('drops rows that users see only where that was confirmed'),
  },
  {
    name: 'reconnect-to-any-database',
    invariant: 'no-silent-gap',
    does: 'Another connection is taken without a look whether it leads to the database that the pipeline follows.',
    file: 'libs/api/src/apply/reconnect.ts',
    find: 'await source.verify(name, anchor, capture?.anchor === anchor.id ? capture.published : null);',
    replace: 'void anchor; void capture;',
    test: plan('is refused where it does not, or may not read'),
  },
  {
    name: 'planner-keeps-the-old-connection',
    invariant: 'no-silent-gap',
    does: 'The planner goes on with the connection that a pipeline had before.',
    file: 'services/planner/src/pipeline-planner.ts',
    find: 'if (!isSame) await this.close();',
    replace: 'if (!isSame) return;',
    test: {
      project: 'unit',
      file: 'services/planner/src/reconnecting.test.ts',
      title: 'a pipeline whose connection was changed is looked at by the new one, and the old one is closed',
    },
  },
];
