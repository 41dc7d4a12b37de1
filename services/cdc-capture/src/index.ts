export { runCapture } from './capture.ts';
