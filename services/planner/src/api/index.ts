export { openApi } from './server.ts';
