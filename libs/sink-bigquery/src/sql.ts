/** The prefix of everything that is ours in the dataset, and of our own columns. */
export const META = '_nanosync';

const ESCAPES: Readonly<Record<string, string>> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r' };

/** A text literal, or NULL. */
export function text(value: string | null): string {
  return value === null ? 'NULL' : `'${value.replace(/[\\'\n\r]/g, (char) => ESCAPES[char] ?? char)}'`;
}

/** A column's name as SQL takes it. Names with a backtick or backslash are refused before they get here. */
export function column(name: string): string {
  return `\`${name}\``;
}

/** An integer literal; refuses what is none. */
export function int(value: number): string {
  if (!Number.isSafeInteger(value)) throw new RangeError('not an integer');
  return String(value);
}

/** A statement that ends the script with an error of ours, and so rolls its transaction back, unless `condition` holds. */
export function demand(condition: string, otherwise: string): string {
  return `SELECT IF(${condition}, 1, ERROR('nanosync: ${otherwise}.'))`;
}

/** Several statements as one transaction: all of it or nothing. */
export function transaction(statements: readonly string[]): string {
  return ['BEGIN TRANSACTION', ...statements, 'COMMIT TRANSACTION'].map((statement) => `${statement};`).join('\n');
}
