import type { PausablePhase, PipelinePhase } from './phases.ts';
import { PIPELINE_MACHINE, step } from './phases.ts';
import type { PipelineRecord } from './records.ts';

/** Phases in which a pipeline's tables move. */
const MOVING: readonly PipelinePhase[] = ['anchored', 'snapshotting', 'streaming'];

/** True while the pipeline's tables move: the planner takes them on, and nobody wants it to stand still. */
export function isMoving({ phase, intent }: PipelineRecord): boolean {
  return MOVING.includes(phase) && intent.run === 'running' && intent.deletion === null;
}

/** True while the pipeline's source is read: ranges by workers, the stream by capture. */
export function isReadFrom(pipeline: PipelineRecord): boolean {
  return isMoving(pipeline) && pipeline.anchor !== null && pipeline.request === null;
}

/** True while ranges of the pipeline's tables, or the results of its query, are read by workers. */
export function areRangesRead(pipeline: PipelineRecord): boolean {
  if (pipeline.phase !== 'scheduled') return isReadFrom(pipeline);
  const { intent, anchor, request } = pipeline;
  return intent.run === 'running' && intent.deletion === null && anchor !== null && request !== 'resnapshot';
}

/**
 * True while the pipeline's sink is written. A paused pipeline too has what is on the bus written, so that the sink comes to where the source was
 * left; a paused sink has not.
 */
export function isWrittenTo({ phase, anchor, request, intent }: PipelineRecord): boolean {
  const isUnderWay = MOVING.includes(phase) || phase === 'scheduled' || phase === 'paused';
  return isUnderWay && anchor !== null && request !== 'resnapshot' && intent.sink === 'running' && intent.deletion === null;
}

/** The record as the wish to pause or to resume makes it, or undefined where it is so already (pure). What has ended or failed stays so. */
export function turned(record: PipelineRecord): PipelineRecord | undefined {
  const { phase, intent, anchor } = record;
  if (intent.run === 'paused') {
    const next = PIPELINE_MACHINE[phase].pause;
    return next === null || next === phase ? undefined : { ...record, phase: next, pausedIn: phase as PausablePhase, waiting: null };
  }
  if (phase !== 'paused') return undefined;
  const { pausedIn = anchor === null ? 'created' : 'snapshotting', ...rest } = record;
  return { ...rest, phase: step(PIPELINE_MACHINE, phase, `resume-${pausedIn}`) };
}
