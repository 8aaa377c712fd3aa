import test from 'ava';
import { markedBlock, readDocument } from '../support/markdown.ts';
import { readOutcomes } from './outcome.ts';
import { publishedIn, render } from './render.ts';
import { steps } from './steps.ts';
import { rows, testedClient, titleOf } from './table.ts';

test("the README's tables are those of the results that are kept", async (t) => {
  const outcomes = await readOutcomes();
  t.is(publishedIn(await readDocument('README.md')), render(outcomes));
});

test('the results that are kept are of every client, door and step, and none of them failed', async (t) => {
  const outcomes = new Map((await readOutcomes()).map((outcome) => [titleOf(outcome), outcome]));
  for (const row of rows()) {
    const outcome = outcomes.get(titleOf(row));
    const expected = testedClient(row).steps ?? steps;
    t.deepEqual(outcome?.failed, [], titleOf(row));
    t.deepEqual(
      outcome?.steps,
      expected.map(({ name }) => name),
    );
  }
  t.is(outcomes.size, rows().length);
});

test("the README's hosts.toml says what the tested one says", async (t) => {
  const [published, tested] = [
    markedBlock(await readDocument('README.md'), 'containerd'),
    markedBlock(await readDocument('docs/clients.md'), 'hosts'),
  ].map((text) => text.replace(/^server = .*$/m, ''));
  t.is(published, tested);
});
