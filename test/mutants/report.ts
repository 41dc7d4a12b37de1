import type { NamedTest } from './mutant.ts';
import { titlePattern } from './mutant.ts';

/** What is read of vitest's JSON report. */
export interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly failureMessages?: readonly string[] | null;
    }[];
  }[];
}

/** How a named test went. `nothing`: it did not run, or ended in a way that says nothing of what it checks. */
export interface Outcome {
  readonly kind: 'passed' | 'failed' | 'nothing';
  readonly why: string;
}

/** The file does not load, or the mutant is no program: any test fails of that. */
const BROKEN =
  /^(?:SyntaxError|ReferenceError|ERR_\w+|Error: (?:Failed to|Cannot find|Transform))|does not provide an export|TransformError/m;
const TIMED_OUT = /(?:Test|Hook) timed out in \d+ ?ms/;

/** How the named test went according to a report. */
export function outcomeOf(report: Report, test: NamedTest): Outcome {
  const file = report.testResults.find(({ name }) => name.endsWith(`/${test.file}`));
  if (file === undefined) return { kind: 'nothing', why: 'its file did not run' };
  const pattern = new RegExp(`^${titlePattern(test.title)}$`);
  const ran = file.assertionResults.filter(({ title, status }) => pattern.test(title) && (status === 'passed' || status === 'failed'));
  if (ran.length === 0) return { kind: 'nothing', why: firstLine(file.message) || 'no test of this title ran' };
  const failures = ran.filter(({ status }) => status === 'failed').map(({ failureMessages }) => failureMessages?.join('\n') ?? '');
  if (failures.length === 0) return { kind: 'passed', why: '' };
  const telling = failures.find((message) => !BROKEN.test(message) && !TIMED_OUT.test(message));
  return { kind: telling === undefined ? 'nothing' : 'failed', why: firstLine(telling ?? failures[0]) };
}

function firstLine(text: string | undefined): string {
  return (text ?? '').trim().split('\n', 1)[0]?.slice(0, 200) ?? '';
}
