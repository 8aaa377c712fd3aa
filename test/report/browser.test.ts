import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { htmlReport } from '../../src/report/html.ts';
import { faintTexts, openBrowser, overflow, picture, visit, WINDOWS, walk } from '../support/browser.ts';
import { logOf, NOON, reportOf } from './logs.ts';
import { logOfDays } from './week.ts';

/** The page as a file, as it is mailed around. */
async function written(t: ExecutionContext, log: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'layover-report-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, 'report.html');
  await writeFile(file, htmlReport(await reportOf(logOf(log))));
  return pathToFileURL(file).href;
}

test.serial('the report is readable in light, dark, in a narrow window and without scripts', async (t) => {
  const browser = await openBrowser(t);
  if (browser === undefined) return;
  const url = await written(t, logOfDays(7, NOON));
  for (const [name, options] of Object.entries(WINDOWS)) {
    const complaints: string[] = [];
    const page = await visit(browser, url, options, complaints);
    await picture(page, `report-${name}`);
    t.true((await overflow(page)) <= 0, name);
    t.deepEqual(complaints, [], name);
    if (name !== 'scriptless') t.deepEqual(await faintTexts(page), [], name);
  }
});

test.serial(
  'what is too wide for the window is scrolled by keyboard, and has a name for who does not see it',
  async (t) => {
    const browser = await openBrowser(t);
    if (browser === undefined) return;
    const hostile = `${'averylongname'.repeat(12)}"><script>alert(1)</script>`;
    const complaints: string[] = [];
    const page = await visit(browser, await written(t, logOfDays(2, NOON, [hostile])), WINDOWS.narrow, complaints);
    t.true((await overflow(page)) <= 0);
    const stops = await walk(page);
    t.deepEqual(
      stops.map(({ what }) => what),
      [
        'div Requests for content, as a picture',
        'div Bytes sent, as a picture',
        'summary The figures of both',
        'div Why it was not served from here',
        'div Served from here',
        'div Not concerning the cache',
        'div Upstreams',
        'div Images',
        'div Clients',
        'div Slowest pulls',
      ],
    );
    t.true(stops.every(({ isOutlined }) => isOutlined));
    const tree = await page.locator('body').ariaSnapshot();
    for (const part of [
      'heading "What the cache did" [level=1]',
      'img "Requests for content over time',
      'table "Images"',
    ])
      t.true(tree.includes(part), part);
    const smallest = await page.evaluate<number>(
      "Math.min(...[...document.querySelectorAll('svg text')].map((text) => text.getBoundingClientRect().height))",
    );
    t.true(smallest > 10);
    t.deepEqual(complaints, []);
  },
);
