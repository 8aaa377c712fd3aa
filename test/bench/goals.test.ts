import test from 'ava';
import { explained, explainedInDocument, title, unexplained } from '../../bench/explanations.ts';
import { Measures, quantile, type Row } from '../../bench/measures.ts';
import { markdown, published } from '../../bench/publish.ts';
import { chosen, workloads } from '../../bench/workloads.ts';

const rate: Row = { name: 'warm', unit: 'MB/s', goals: [{ of: 'docker-registry', atLeast: 2 }] };
const wait: Row = { name: 'first byte', unit: 'ms', goals: [{ atMost: 8 }] };

function measured(row: Row, own: readonly number[], other: readonly number[] = []): Measures {
  const measures = new Measures();
  for (const value of own) measures.add(row, 'layover', value);
  for (const value of other) measures.add(row, 'docker-registry', value);
  return measures;
}

test('a goal is met when the median reaches it, whatever single rounds did', (t) => {
  t.is(measured(wait, [3, 7, 90]).verdict(wait), 'met');
  t.is(measured(rate, [100, 210, 220], [100, 100, 100]).verdict(rate), 'met');
});

test('a goal that the median misses is close as long as a round reached it', (t) => {
  t.is(measured(wait, [7, 9, 10]).verdict(wait), 'close');
  t.is(measured(rate, [190, 100, 110], [95, 100, 100]).verdict(rate), 'close');
});

test('a goal that no round reached is missed', (t) => {
  t.is(measured(wait, [9, 10, 11]).verdict(wait), 'missed');
  t.is(measured(rate, [190, 180, 170], [100, 100, 100]).verdict(rate), 'missed');
});

test('the worst of several goals counts', (t) => {
  const row: Row = { ...wait, goals: [{ atMost: 8 }, { of: 'docker-registry', atMost: 1 }] };
  t.is(measured(row, [7, 7, 7], [5, 5, 5]).verdict(row), 'missed');
});

test('a goal by comparison with what did not run is not judged', (t) => {
  t.is(measured(rate, [100]).verdict(rate), undefined);
  t.is(measured({ name: 'without', unit: 's' }, [1]).verdict(rate), undefined);
});

test('a missed goal needs an explanation under its own title', (t) => {
  const page =
    '# Page\n\n## Goals that are not met\n\n- **first byte: ms**, **other: s** – a reason\n\n## More\n\n- **warm: MB/s** – no';
  t.deepEqual([...explained(page)], ['first byte: ms', 'other: s']);
  t.deepEqual(unexplained(measured(wait, [9]), explained(page)), []);
  t.deepEqual(unexplained(measured(rate, [1], [1]), explained(page)), ['warm: MB/s']);
  t.deepEqual(unexplained(measured(wait, [7, 9, 9]), new Set()), []);
});

test('the document explains only rows that exist and have a goal', async (t) => {
  const titles = workloads.flatMap(({ rows }) => rows.filter(({ goals }) => goals !== undefined)).map(title);
  const known = await explainedInDocument();
  t.true(known.size > 0);
  t.deepEqual(
    [...known].filter((one) => !titles.includes(one)),
    [],
  );
});

test('no two rows have the same title', (t) => {
  const titles = workloads.flatMap(({ rows }) => rows).map(title);
  t.deepEqual(titles.toSorted(), [...new Set(titles)].toSorted());
});

test('workloads are chosen by the beginnings of their names', (t) => {
  t.deepEqual(
    chosen(['warm'], false).map(({ name }) => name),
    ['warm layers', 'warm small'],
  );
  t.deepEqual(chosen([], false), [...workloads]);
  t.throws(() => chosen(['warm', 'hot'], false), { message: /no workload begins with hot/ });
});

test('a quantile is the value that so large a part does not exceed', (t) => {
  t.is(quantile([3, 1, 2, 4], 0.5), 3);
  t.is(
    quantile(
      Array.from({ length: 200 }, (_, at) => at),
      0.99,
    ),
    198,
  );
  t.is(quantile([], 0.5), Number.NaN);
});

test('the figures of a run replace those of the document, and nothing else', (t) => {
  const measures = Measures.of(JSON.parse(JSON.stringify(measured(rate, [100, 230, 210], [100, 100, 100]))));
  const page = published('# Page\n\n## Figures\n\nold\n\n## More\n\nkept\n', markdown(measures));
  t.true(page.startsWith('# Page\n\n## Figures\n\n|  | unit |'));
  t.true(
    page.includes(
      '\n| warm | MB/s | 210 (100–230) | 100 |  | 2.10 | met: ≥ 2 × docker-registry |\n\n## More\n\nkept\n',
    ),
  );
  t.throws(() => published('# Page\n', 'x'), { message: /no section/ });
});
