export { runSinkWriter } from './sink-writer.ts';
