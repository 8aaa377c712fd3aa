import type { Page, PageMaker, PageRequest, Pages } from '../gateway/pages.ts';
import { html, type Markup } from '../html/markup.ts';
import { searchOf } from './catalog.ts';
import { catalogSection } from './catalog-section.ts';
import type { Overview } from './overview.ts';
import { isOwnHost } from './own-host.ts';
import { pageHtml, type Section } from './page.ts';
import { SCRIPT } from './script.ts';
import { type Instructions, setupSection } from './setup-section.ts';
import { statusSection } from './status-section.ts';
import { ICON, PAGE_STYLE } from './style.ts';
import { statusText, welcome } from './welcome.ts';

export interface PagesOptions {
  /** Where it is absent, nothing is told of how the gateway stands. */
  readonly overview?: Overview | undefined;
  /** Our own names of the configuration. */
  readonly names: readonly string[];
  /** How clients are set up, told that they reach us by `origin`; absent where clients do not come. */
  readonly instructions?: ((origin: string) => readonly Instructions[]) | undefined;
}

/** The page on `/`, as text for who does not ask for HTML, with what belongs to it. */
export function pagesOf(options: PagesOptions): Pages {
  const { overview, names } = options;
  const always = [
    ['/', (request) => indexPage(request, options)],
    ['/status.css', asset('text/css; charset=utf-8', PAGE_STYLE)],
    ['/status.svg', asset('image/svg+xml', ICON)],
  ] satisfies [string, PageMaker][];
  if (overview === undefined) return new Map(always);
  const guarded =
    (make: PageMaker): PageMaker =>
    (request) =>
      isOwn(request, names) ? make(request) : text(elsewhere(request), 403);
  return new Map<string, PageMaker>([
    ...always,
    ['/status', guarded((request) => statusPage(request, overview))],
    ['/status.json', guarded((request) => statusJson(request, overview))],
    ['/status.js', asset('text/javascript; charset=utf-8', SCRIPT)],
  ]);
}

async function indexPage(request: PageRequest, { overview, names, instructions }: PagesOptions): Promise<Page> {
  const { origin, query } = request;
  const shown = isOwn(request, names) ? overview : undefined;
  const note = overview !== undefined && shown === undefined ? elsewhere(request) : undefined;
  if (!wantsHtml(request)) {
    const status = shown === undefined ? (note ?? '') : statusText(await shown.status());
    return text(`${welcome(origin)}${status === '' ? '' : `\n${status}`}`);
  }
  const parts = shown === undefined ? [] : [await statusPart(shown), await catalogPart(shown, query)];
  if (note !== undefined) parts.push(partOf('status', 'Status', html`<section id="status"><p>${note}</p></section>`));
  const steps = instructions?.(origin);
  if (steps !== undefined) parts.push(partOf('setup', 'Setup', setupSection(steps)));
  return page(pageHtml(new URL(origin).host, parts, { script: shown !== undefined }));
}

async function statusPage({ origin }: PageRequest, overview: Overview): Promise<Page> {
  return page(pageHtml(new URL(origin).host, [await statusPart(overview)], { script: true }));
}

async function statusJson({ query }: PageRequest, overview: Overview): Promise<Page> {
  const [now, catalog] = await Promise.all([overview.status(), overview.catalog.find(searchOf(query))]);
  const repositories = catalog.repositories.map(({ used, ...entry }) => ({
    ...entry,
    ...(used > 0 && { used: new Date(used).toISOString() }),
  }));
  return { contentType: 'application/json', body: JSON.stringify({ ...now, cached: { ...catalog, repositories } }) };
}

function isOwn({ origin }: PageRequest, names: readonly string[]): boolean {
  return isOwnHost(new URL(origin).hostname, names);
}

function elsewhere({ origin }: PageRequest): string {
  const { hostname } = new URL(origin);
  return `How this gateway stands is shown under its own names and addresses: add ${hostname} to names in its configuration.\n`;
}

async function statusPart(overview: Overview): Promise<Section> {
  return partOf('status', 'Status', statusSection(await overview.status(), Date.now()));
}

async function catalogPart(overview: Overview, query: URLSearchParams): Promise<Section> {
  const found = await overview.catalog.find(searchOf(query));
  return partOf('cached', 'What is cached', catalogSection(found, Date.now()));
}

function partOf(id: string, name: string, markup: Markup): Section {
  return { id, name, markup };
}

/** Browsers name HTML; curl and the like take anything, and get what can be read on a terminal. */
function wantsHtml({ accept }: PageRequest): boolean {
  return accept.some((line) => /(?:^|[\s,])text\/html(?![^,]*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(line));
}

function page(body: string): Page {
  return { contentType: 'text/html; charset=utf-8', body, headers: { Vary: 'Accept' } };
}

function text(body: string, status = 200): Page {
  return { status, contentType: 'text/plain; charset=utf-8', body, headers: { Vary: 'Accept' } };
}

function asset(contentType: string, body: string): PageMaker {
  return () => ({ contentType, body, headers: { 'Cache-Control': 'no-cache' } });
}
