export { runPlanner } from './planner.ts';
