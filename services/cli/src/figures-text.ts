import { shortPosition } from '@nanosync/core';
import type { FiguresAge, Lag, PipelineStatus, Retention } from '@nanosync/runtime';
import { durationText, rateText, sizeText } from './units-text.ts';

/** The lines of what moves: lag, rates, and how long the source's log lasts. None before the pipeline has an anchor. */
export function figuresLines(pipeline: PipelineStatus): readonly string[] {
  const { l0, l1, lag, perSecond, retention, figures, name } = pipeline;
  if (l0 === null) return [];
  const copied = perSecond !== null && perSecond.rows > 0 ? `, ${rateText(perSecond.rows)} rows/s copied` : '';
  return [
    row('lag', `${lag === null ? '-' : `${lagText(lag)} behind the source`}${ageText(figures)}`),
    row(
      'changes',
      perSecond === null ? '-' : `${rateText(perSecond.applied)}/s applied, ${rateText(perSecond.published)}/s published${copied}`,
    ),
    ...(retention?.state === 'none' ? [] : [row('source log', retention === null ? '-' : retentionText(retention, name))]),
    row('L0, L1', `${shortPosition(l0)}, ${l1 === null ? 'not reached' : shortPosition(l1)}`),
  ];
}

/** How far behind: `0 s (0 B)`. */
export function lagText({ seconds, atLeast, bytes }: Lag): string {
  return `${atLeast ? 'at least ' : ''}${durationText(seconds)} (${sizeText(bytes)})`;
}

function row(name: string, text: string): string {
  return `  ${name.padEnd(11)} ${text}`;
}

function ageText({ old, sourceSeconds, failure }: FiguresAge): string {
  if (failure !== null || (old && sourceSeconds !== null))
    return ` (AS OF ${sourceSeconds === null ? 'NEVER' : `${durationText(sourceSeconds)} AGO`}: ${failure === null ? 'no planner looks' : 'the source does not answer'})`;
  return sourceSeconds === null ? ' (the source was not asked yet)' : '';
}

function retentionText(retention: Retention, pipeline: string): string {
  const { state, keptBytes, leftBytes, secondsLeft, growthBytesPerSecond, setting } = retention;
  const kept = `${sizeText(keptBytes)} kept for this pipeline`;
  const grows = growthBytesPerSecond !== null && growthBytesPerSecond >= 1 ? `, growing ${sizeText(growthBytesPerSecond)}/s` : '';
  const repair = `Run: nanosync pipeline resnapshot ${pipeline}`;
  switch (state) {
    case 'unlimited':
      return `${kept}${grows}; no limit is set (${setting}): the disk is`;
    case 'safe': {
      const time = secondsLeft === null ? ' not growing' : ` about ${durationText(secondsLeft)}`;
      return `${kept}${grows}; ${sizeText(leftBytes ?? 0)} (${time.trimStart()}) until it drops what is needed`;
    }
    case 'at risk':
      return `${kept}${grows}; IT MAY DROP WHAT IS NEEDED AT ANY MOMENT. Raise ${setting} now`;
    case 'lost':
      return `LOST: it dropped changes that were not read. ${repair}`;
    case 'none':
      return 'none is needed';
  }
}
