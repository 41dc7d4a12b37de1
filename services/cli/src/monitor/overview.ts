import type { StatusAnswer } from '@nanosync/api';
import { followsChanges } from '@nanosync/core';
import type { PipelineStatus } from '@nanosync/runtime';
import { headline, shownPhase } from '../status-text.ts';
import { durationText, rateText } from '../units-text.ts';
import type { Line, Tone } from './lines.ts';
import { cell, line, span, wrapped } from './lines.ts';

const TITLES = ['NAME', 'SOURCE', 'DESTINATION', 'STATUS', 'LAG', 'EVENTS/S'] as const;
const GAP = '  ';
/** The columns of names: where there is no room, the widest of these gives way. */
const NAMES = 3;
const LEAST_WIDTH = 6;

/** Every pipeline in a line, and what the one under the cursor lacks. */
export function overviewLines(answer: StatusAnswer, chosen: string | null, columns: number): readonly Line[] {
  const { pipelines, absent = {} } = answer;
  if (pipelines.length === 0) return [line('no pipelines yet; add some with: nanosync apply -f pipelines.yaml')];
  const cells = pipelines.map(cellsOf);
  const widths = widthsOf([TITLES, ...cells], columns);
  const lines = pipelines.map((pipeline, index) => {
    const isChosen = pipeline.name === chosen;
    const [before = '', status = '', after = ''] = inColumns(cells[index] ?? [], widths);
    const tone = isChosen ? 'chosen' : undefined;
    return [span(isChosen ? '> ' : '  ', tone), span(before, tone), span(status, tone ?? toneOf(pipeline)), span(after, tone)];
  });
  const about = pipelines.find(({ name }) => name === chosen);
  const note = about === undefined ? [] : noteOf(about, absent[about.name] ?? [], columns);
  return [line(`  ${inColumns(TITLES, widths).join('')}`, 'faint'), ...lines, ...note];
}

/** What moves per second: rows while they are copied, and changes as the sink applies them. */
export function eventsPerSecond({ perSecond }: PipelineStatus): number | null {
  return perSecond === null ? null : perSecond.rows + perSecond.applied;
}

/** Where a pipeline is, in a word or two. */
export function statusWord(pipeline: PipelineStatus): string {
  const { healthy, intent, query, phase } = pipeline;
  const word = intent.sink === 'paused' && query === null ? `${shownPhase(pipeline)}, no sink` : shownPhase(pipeline);
  return healthy || phase === 'failed' ? word : `! ${word}`;
}

/** How a pipeline's status looks. */
export function toneOf({ healthy, phase, query, figures, type }: PipelineStatus): Tone {
  if (!healthy) return 'bad';
  if (query !== null) return 'good';
  if (figures.old && followsChanges({ replicationType: type })) return 'warning';
  return phase === 'streaming' || phase === 'completed' ? 'good' : 'warning';
}

function cellsOf(pipeline: PipelineStatus): readonly string[] {
  const { name, source, sink, lag } = pipeline;
  const rate = eventsPerSecond(pipeline);
  const behind = lag === null ? '-' : `${lag.atLeast ? '>' : ''}${durationText(lag.seconds)}`;
  return [name, source.connection, sink.connection, statusWord(pipeline), behind, rate === null ? '-' : rateText(rate)];
}

function widthsOf(rows: readonly (readonly string[])[], columns: number): readonly number[] {
  const widths = TITLES.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const total = () => 2 + widths.reduce((sum, width) => sum + width, 0) + GAP.length * (TITLES.length - 1);
  while (total() > columns) {
    const widest = Math.max(...widths.slice(0, NAMES));
    if (widest <= LEAST_WIDTH) break;
    widths[widths.indexOf(widest)] = widest - 1;
  }
  return widths;
}

/** The cells of a line in three parts: what stands before the status, it, and what stands after it. */
function inColumns(cells: readonly string[], widths: readonly number[]): readonly [string, string, string] {
  const shown = TITLES.map((_, column) => cell(cells[column] ?? '', widths[column] ?? 0, column > NAMES ? 'right' : 'left'));
  return [
    `${shown.slice(0, NAMES).join(GAP)}${GAP}`,
    shown[NAMES] ?? '',
    `${GAP}${shown
      .slice(NAMES + 1)
      .join(GAP)
      .trimEnd()}`,
  ];
}

function noteOf(pipeline: PipelineStatus, absent: readonly string[], columns: number): readonly Line[] {
  const missing = absent.map((service) => `no ${service} works on it: start nanosync service ${service}`);
  const waiting = pipeline.waiting === null ? [] : [`waiting: ${pipeline.waiting}`];
  const says = [`${pipeline.name}: ${headline(pipeline)}`, ...missing, ...waiting];
  const tone = pipeline.healthy ? undefined : 'bad';
  return [line(''), ...says.flatMap((text) => wrapped(`  ${text}`, columns, '    ')).map((text) => line(text, tone))];
}
