import { relative, resolve } from 'node:path';
import { DEFAULT_DIRECTORY } from './options.ts';
import type { RecordedService } from './stack-record.ts';

/** Prints one line for the user. */
export function say(line: string): void {
  console.log(line);
}

/** One line a service: name, address, what it answered, log file. */
export function printServices(services: readonly RecordedService[], answers?: ReadonlyMap<string, string>): void {
  const rows = services.map((service) => [
    service.name,
    addressText(service),
    answers?.get(service.name) ?? '',
    shortPath(service.logFile),
  ]);
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  for (const row of rows) say(row.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(width(column)))).join('  '));
}

/** The part of an address that a user puts into a configuration. */
function addressText({ address }: RecordedService): string {
  if ('brokers' in address) return address.brokers.join(',');
  if ('dsn' in address) return address.dsn;
  return 'project' in address ? `${address.url} (project ${address.project})` : address.url;
}

/** The command that does `verb` to the same stack. */
export function commandFor(verb: string, directory: string): string {
  return `npm run stack -- ${verb}${directory === resolve(DEFAULT_DIRECTORY) ? '' : ` --directory ${directory}`}`;
}

/** From where the user is, when it is below. */
export function shortPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
