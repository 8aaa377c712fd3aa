import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** What pages are opened in; `undefined` where there is none on this machine, which is told. */
export async function openBrowser(t: ExecutionContext): Promise<Browser | undefined> {
  t.timeout(300_000);
  const directories = (process.env.PATH ?? '').split(delimiter);
  const executablePath = NAMES.flatMap((name) => directories.map((directory) => join(directory, name))).find(
    existsSync,
  );
  if (executablePath === undefined) {
    t.log('skipped: there is no Chromium on this machine (Debian: apt-get install chromium)');
    t.pass();
    return undefined;
  }
  // Root has no sandbox, and what is opened is ours.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'], timeout: 120_000 });
  t.teardown(() => browser.close());
  return browser;
}

/** The windows in which every page has to be readable. */
export const WINDOWS = {
  light: { colorScheme: 'light', viewport: { width: 1100, height: 960 } },
  dark: { colorScheme: 'dark', viewport: { width: 1100, height: 900 } },
  narrow: { colorScheme: 'light', viewport: { width: 360, height: 740 } },
  scriptless: { colorScheme: 'light', viewport: { width: 1100, height: 900 }, javaScriptEnabled: false },
} as const satisfies Readonly<Record<string, BrowserContextOptions>>;

/** Opens `url`; everything that the browser complains of is added to `complaints`. */
export async function visit(
  browser: Browser,
  url: string,
  options: BrowserContextOptions,
  complaints: string[] = [],
): Promise<Page> {
  const page = await browser.newPage(options);
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  page.on('dialog', (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url);
  return page;
}

/** Keeps a picture in `artifacts/`, of the whole page unless told otherwise. */
export async function picture(page: Page, name: string, { fullPage = true } = {}): Promise<void> {
  const directory = join(import.meta.dirname, '..', '..', 'artifacts');
  await mkdir(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage });
}

/** How far the page is wider than its window. */
export function overflow(page: Page): Promise<number> {
  return page.evaluate('document.scrollingElement.scrollWidth - innerWidth');
}

/** What is focused after each press of the tab key, from the beginning to the end of the page: `a Status`, `input q`. */
export async function walk(page: Page): Promise<readonly { readonly what: string; readonly isOutlined: boolean }[]> {
  const stops: { what: string; isOutlined: boolean }[] = [];
  for (let press = 0; press < 200; press += 1) {
    await page.keyboard.press('Tab');
    const stop = await page.evaluate<{ what: string; isOutlined: boolean } | null>(`(() => {
      const at = document.activeElement;
      if (at === null || at === document.body || at.dataset.seen) return null;
      at.dataset.seen = 'yes';
      const name = at.getAttribute('aria-label') ?? at.id;
      const what = at.tagName.toLowerCase() + ' ' + (name || at.textContent.trim().slice(0, 40));
      return { what, isOutlined: getComputedStyle(at).outlineStyle !== 'none' };
    })()`);
    if (stop === null) return stops;
    stops.push(stop);
  }
  return stops;
}

/** Texts whose contrast to their ground is less than WCAG 2.2 asks for (1.4.3: 4.5). */
export function faintTexts(page: Page): Promise<readonly string[]> {
  return page.evaluate(`(() => {
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b]
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
      .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
    const groundOf = (element) => {
      const ground = parse(getComputedStyle(element).backgroundColor);
      return ground[3] === 0 && element.parentElement ? groundOf(element.parentElement) : ground;
    };
    const faint = [];
    for (const element of document.querySelectorAll('body *')) {
      const hasText = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
      if (!hasText || element.getClientRects().length === 0) continue;
      const style = getComputedStyle(element);
      const ink = light(parse(element.namespaceURI.endsWith('svg') ? style.fill : style.color));
      const ground = light(groundOf(element));
      const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
      if (contrast < 4.5) faint.push(element.tagName + ' ' + contrast.toFixed(2) + ' ' + element.textContent.trim().slice(0, 40));
    }
    return faint;
  })()`);
}
