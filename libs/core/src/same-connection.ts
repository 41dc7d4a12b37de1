import type { ConnectionDefinition } from './definition.ts';

/** What a connection leads to, and as whom, as a text to compare. Its name is only a name. */
export function connectionText({ type, dsn, properties }: ConnectionDefinition): string {
  return JSON.stringify([type, dsn, Object.entries(properties).sort(([a], [b]) => (a < b ? -1 : 1))]);
}

/** False when what was opened with one of them must be opened anew with the other. */
export function sameConnection(a: ConnectionDefinition, b: ConnectionDefinition): boolean {
  return connectionText(a) === connectionText(b);
}
