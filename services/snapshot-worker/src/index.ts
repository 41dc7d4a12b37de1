export { runSnapshotWorker } from './worker.ts';
