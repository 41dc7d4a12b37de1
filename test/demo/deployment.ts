import type { Warehouse } from '../compare/sink-end.ts';
import type { PipelineProcess } from './pipeline-process.ts';
import type { ProgressReader } from './progress.ts';
import type { Screen } from './screen.ts';

/** The most memory that a process had so far. */
export interface ProcessMemory {
  readonly name: string;
  readonly mb: number;
}

/** How a demo's pipeline runs: one process with everything in it, or a cluster. Disposing it kills what still runs. */
export interface Deployment extends AsyncDisposable {
  readonly warehouse: Warehouse;
  /** The sink, in a title. */
  readonly sinkName: string;
  /** What the kill -9 hits, in a title. */
  readonly victim: string;
  /** Starts the pipeline's processes. */
  launch(): Promise<void>;
  /** Resolves once the pipeline has a state. */
  openProgress(signal: AbortSignal): Promise<ProgressReader>;
  killVictim(): Promise<void>;
  restartVictim(): Promise<void>;
  /** What ended that should run, in a sentence, with the last lines of its log; null when all is well. */
  broken(): string | null;
  /** The last lines of every log. */
  tail(): readonly string[];
  memory(): readonly ProcessMemory[];
  /** Ends all processes as Ctrl-C does; throws when one does not end well. */
  finish(): Promise<void>;
  /** How to look at what a kept demo left behind. */
  tellHowToLook(): void;
}

/** The lines of a pipeline's log that a newcomer should see. */
const TOLD = /nanosync .*serving|INF pipeline resuming|INF snapshot in progress|^(?:WRN|ERR) /;
const FIRST_OF_TABLE = /INF snapshotting table=(\S+)/;

/** A listener that shows the lines of a log that tell the story, each table's first read once. `label` stands before them. */
export function storyTeller(screen: Screen, label = ''): (line: string) => void {
  const seen = new Set<string>();
  return (line) => {
    const table = FIRST_OF_TABLE.exec(line)?.[1];
    const first = table !== undefined && !seen.has(table);
    if (table !== undefined) seen.add(table);
    if (first || TOLD.test(line)) screen.detail(`│ ${label}${line}`);
  };
}

/** A sentence and the last lines, for a process that ended by itself. */
export function lastWords(process: PipelineProcess): string | null {
  const end = process.end();
  return end === null ? null : [end, 'Its last lines were:', ...process.tail(15)].join('\n');
}
