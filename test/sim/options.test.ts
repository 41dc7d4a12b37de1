import { expect, it } from 'vitest';
import { readOptions, WHOLE_RUN } from './options.ts';
import { planOf } from './plan.ts';

it('runs a whole run from seed 1 when nothing is said', () => {
  expect(readOptions([])).toMatchObject({ seeds: WHOLE_RUN, from: 1, seed: undefined, plan: undefined, isShrunk: true, isJson: false });
  expect(readOptions(['--seeds', '20', '--from', '7', '--no-shrink', '--json'])).toMatchObject({
    seeds: 20,
    from: 7,
    isShrunk: false,
    isJson: true,
  });
});

it('takes a part of a plan, whose seed says the rest', () => {
  expect(readOptions(['--plan', '{"seed":3,"faults":[]}'])).toMatchObject({ plan: { ...planOf(3), faults: [] } });
});

it.each([
  [['--seed', 'abc'], '--seed takes a whole number from 1 on, not "abc".'],
  [['--seeds', '0'], '--seeds takes a whole number from 1 on, not "0".'],
  [['--plan', 'nonsense'], /^--plan takes JSON, or @ and the name of a file with it: /],
  [['--plan', '@/is/not/there'], /no such file/],
  [['--plan', '{}'], '--plan takes an object with a seed, such as {"seed":42,"faults":[]}.'],
  [['--plan', '{"seed":1,"fautls":[]}'], /^--plan: a plan has no fautls; it has seed, /],
  [['--plan', '{"seed":1,"faults":[{"kind":"x","atMs":1}]}'], '--plan: there is no fault "x"; see faults.ts.'],
  [
    ['--plan', '{"seed":1,"faults":[{"kind":"slot lost"}]}'],
    '--plan: the fault slot lost has no atMs, the virtual time at which it comes.',
  ],
  [['--seed', '1', '--seeds', '2'], 'Choose one of --seed, --plan, and --seeds with --from.'],
  [['--unknown'], /Unknown option '--unknown'/],
])('refuses %j with a sentence', (args, sentence) => {
  expect(readOptions(args)).toEqual(typeof sentence === 'string' ? sentence : expect.stringMatching(sentence));
});
