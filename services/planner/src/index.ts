export { openApi } from './api/server.ts';
export { runPlanner } from './planner.ts';
