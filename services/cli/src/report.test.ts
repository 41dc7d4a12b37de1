import { PipelineError } from '@nanosync/core';
import { expect, test } from 'vitest';
import { reportError } from './report.ts';

test('with --debug the places of all causes are shown, and no words of a driver, which may repeat cells', () => {
  const driver = Object.assign(new Error('Constraint Error: duplicate key "planted-value"\n    planted-value'), { code: '23505' });
  const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:1'), { code: 'ECONNREFUSED', cause: driver });
  const lines: string[] = [];
  const context = { err: (line: string) => lines.push(line), redactor: { redact: (text: string) => text } };
  reportError(context as never, new PipelineError('unavailable', 'It is away.', { cause: refused }), { debug: true });
  const text = lines.join('\n');
  expect(text).toContain('PipelineError: It is away.\n    at ');
  expect(text).toContain('Error: connect ECONNREFUSED 127.0.0.1:1\n    at ');
  expect(text).toContain('Error (23505)\n    at ');
  expect(text).not.toContain('planted-value');
});
