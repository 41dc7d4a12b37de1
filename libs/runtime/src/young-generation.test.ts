import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const MODULE = fileURLToPath(new URL('./young-generation.ts', import.meta.url));

/** Allocates much, half of it for long, and prints how large the young generation became, in MB. */
function youngMb(before: string): number {
  const script = `${before}
    let kept = [];
    for (let index = 0; index < 4e6; index++) { kept.push({ index, text: String(index) }); if (kept.length > 150_000) kept = []; }
    const space = require('node:v8').getHeapSpaceStatistics().find((one) => one.space_name === 'new_space');
    console.log(space.space_size / 1048576);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=commonjs', '--eval', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return Number(stdout);
}

it('keeps the young generation at its bound, whatever is allocated', () => {
  const bounded = youngMb(`require(${JSON.stringify(MODULE)}).boundYoungGeneration();`);
  expect(bounded).toBeGreaterThanOrEqual(16);
  expect(bounded).toBeLessThanOrEqual(33);
});
