export type { Change, DefinitionPart, EditRule, Outcome } from './apply/edits.ts';
export { differences, EDITS } from './apply/edits.ts';
export type { PlannedApply, PlannedEdit } from './apply/plan.ts';
export { planApply, storeDefinitions, storedPipelines, storePlan, toCheck } from './apply/plan.ts';
export type { PreflightPorts, SinkCheckRequest } from './apply/preflight.ts';
export { preflight } from './apply/preflight.ts';
export type { CellJson } from './cell-json.ts';
export { cellJson, instantText } from './cell-json.ts';
