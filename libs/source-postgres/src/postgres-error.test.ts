import { expect, test } from 'vitest';
import { explainPostgresError } from './postgres-error.ts';

test('what the server says of data is not shown, whoever runs into it', () => {
  const told = (code: string, message: string) =>
    explainPostgresError(Object.assign(new Error(message), { code }), 'db:5432/shop as app').message;
  for (const [code, message] of [
    ['22P02', 'invalid input syntax for type integer: "planted-value"'],
    ['22003', 'value "planted-value" is out of range for type integer'],
    ['23505', 'duplicate key value planted-value'],
  ] as const)
    expect(told(code, message)).toBe(
      `PostgreSQL at db:5432/shop as app refused: a value, with a message that may hold it and is not shown (${code}).`,
    );
  expect(told('42P01', 'relation "x" does not exist')).toContain('relation "x" does not exist (42P01)');
});
