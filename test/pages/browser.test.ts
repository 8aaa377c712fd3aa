import test from 'ava';
import { faintTexts, openBrowser, overflow, picture, visit, WINDOWS, walk } from '../support/browser.ts';
import { evening, stage } from './stage.ts';

const LONG = `docker.io/${Array.from({ length: 20 }, () => 'averylongword').join('')}/app`;
const EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>';

test.serial(
  'the page is readable in light, dark, in a narrow window and without scripts, and nothing is amiss',
  async (t) => {
    const browser = await openBrowser(t);
    if (browser === undefined) return;
    const { url } = await stage(t, evening());
    const grounds = new Set<string>();
    for (const [name, options] of Object.entries(WINDOWS)) {
      const complaints: string[] = [];
      const page = await visit(browser, url, options, complaints);
      const [text = ''] = await page.locator('main').allInnerTexts();
      for (const part of [
        'Serving; out of reach: quay.io.',
        '94.1 %',
        '384 GiB',
        'ghcr.io/home-assistant/home-assistant',
        '64 without login',
        'docker pull 127.0.0.1',
      ])
        t.true(text.includes(part), `${name}: ${part}`);
      t.true((await overflow(page)) <= 0, name);
      t.deepEqual(complaints, [], name);
      await picture(page, `status-page-${name}`);
      if (name === 'light') await picture(page, 'status-page', { fullPage: false });
      if (name === 'scriptless') continue;
      t.deepEqual(await faintTexts(page), [], name);
      grounds.add(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
    }
    t.is(grounds.size, 2);
  },
);

test.serial('names of any length fit into the narrowest window, and hostile ones are texts', async (t) => {
  const browser = await openBrowser(t);
  if (browser === undefined) return;
  const scene = evening();
  const names = [LONG, EVIL];
  scene.warnings = names;
  scene.upstreams = [...scene.upstreams, ...names];
  scene.fetches = names.map((repository) => ({ digest: EVIL, repository, size: 10, received: 1 }));
  scene.repositories = names.map((repository) => ({ repository, size: 10, used: Date.now() }));
  const { url } = await stage(t, scene);
  const complaints: string[] = [];
  const page = await visit(
    browser,
    `${url}?q=${encodeURIComponent('"><script>alert(3)</script>')}`,
    WINDOWS.narrow,
    complaints,
  );
  t.true((await overflow(page)) <= 0);
  t.is(await page.locator('#q').inputValue(), '"><script>alert(3)</script>');
  await page.goto(url);
  t.true((await overflow(page)) <= 0);
  t.is(await page.locator('img, main script').count(), 0);
  t.is((await page.getByText(EVIL).count()) > 0, true);
  t.deepEqual(complaints, []);
});

test.serial(
  'it renews itself without being loaded again, keeps what the reader was at, and says when it cannot',
  async (t) => {
    const browser = await openBrowser(t);
    if (browser === undefined) return;
    const scene = evening();
    const { url, gateway } = await stage(t, scene);
    const page = await visit(browser, url, WINDOWS.light);
    await page.evaluate("globalThis.isTheSame = 'yes'");
    await page.locator('#q').fill('half a wo');
    await page.locator('#q').focus();
    t.is(await page.getByText('3 blobs').count(), 1);
    scene.fetches = [];
    scene.warnings = ['the disk cannot be written (EIO)'];
    await page.getByText('Nothing is being fetched.').waitFor({ timeout: 120_000 });
    t.is(await page.locator('#state').textContent(), 'Serving; 1 warning; out of reach: quay.io.');
    t.is(await page.locator('#warnings li').count(), 1);
    t.false(await page.getByRole('table', { name: 'Fetches of public images' }).isVisible());
    t.is(await page.evaluate('globalThis.isTheSame'), 'yes');
    t.is(await page.evaluate('document.activeElement.id'), 'q');
    t.is(await page.locator('#q').inputValue(), 'half a wo');
    await gateway.close(0);
    await page.getByText('The gateway does not answer').waitFor({ timeout: 120_000 });
  },
);

test.serial(
  'the keyboard reaches everything, what is focused is seen, and the skip link leads to the content',
  async (t) => {
    const browser = await openBrowser(t);
    if (browser === undefined) return;
    const scene = evening();
    scene.repositories = Array.from({ length: 60 }, (_, index) => ({
      repository: `docker.io/a/${index}`,
      size: 1,
      used: 1,
    }));
    const { url } = await stage(t, scene);
    const page = await visit(browser, url, WINDOWS.light);
    const stops = await walk(page);
    t.deepEqual(
      stops.map(({ what }) => what),
      [
        'a Skip to the content',
        'a Status',
        'a What is cached',
        'a Setup',
        'div Upstream registries',
        'div Fetches of public images',
        'input q',
        'button Search',
        'div Repositories, the last used first',
        'a Next page',
        'a ca.crt',
        'summary Try it, with nothing set up',
        'pre docker pull 127.0.0.1:PORT/docker.io/lib',
        'a This as JSON',
      ].map((what) => what.replace(':PORT', new URL(url).host.slice('127.0.0.1'.length)).slice(0, 44)),
    );
    t.deepEqual(
      stops.filter(({ isOutlined }) => !isOutlined),
      [],
    );

    await page.reload();
    await page.keyboard.press('Tab');
    t.true(await page.getByText('Skip to the content').isVisible());
    await page.keyboard.press('Enter');
    t.is(await page.evaluate('document.activeElement.id'), 'main');
    await page.locator('#q').focus();
    await page.keyboard.type('a/5');
    await page.keyboard.press('Enter');
    await page.waitForURL(/q=a%2F5/);
    t.is(await page.getByRole('table', { name: 'Repositories' }).getByRole('rowheader').count(), 11);
  },
);

test.serial(
  'a screen reader finds parts, headings, tables with names, what is typed into, and what changes',
  async (t) => {
    const browser = await openBrowser(t);
    if (browser === undefined) return;
    const { url } = await stage(t, evening());
    const page = await visit(browser, url, WINDOWS.light);
    const tree = await page.locator('body').ariaSnapshot();
    for (const part of [
      'banner',
      'navigation "Parts of this page"',
      'main',
      'contentinfo',
      'heading "Layover" [level=1]',
      'heading "Status" [level=2]',
      'heading "What is cached" [level=2]',
      'heading "Setup" [level=2]',
      'region "Status"',
      'status: "Serving; out of reach: quay.io."',
      'table "Upstream registries"',
      'columnheader "may still be asked"',
      'rowheader "docker.io"',
      'progressbar "docker.io/library/postgres"',
      'search',
      'searchbox "Part of a name"',
      'button "Search"',
      'link "ca.crt"',
    ])
      t.true(tree.includes(part), `${part} in ${tree}`);
    t.is(await page.locator('html').getAttribute('lang'), 'en');
    t.is(await page.title(), `Layover: ${new URL(url).host}`);
  },
);
