import type { Page, PageMaker, PageRequest, Pages } from '../gateway/pages.ts';
import { searchOf } from './catalog.ts';
import { catalogSection } from './catalog-section.ts';
import type { Overview } from './overview.ts';
import { pageHtml, type Section } from './page.ts';
import { SCRIPT } from './script.ts';
import { type Instructions, setupSection } from './setup-section.ts';
import { statusSection } from './status-section.ts';
import { ICON, PAGE_STYLE } from './style.ts';
import { statusText, welcome } from './welcome.ts';

export interface PagesOptions {
  /** Where it is absent, nothing is told of how the gateway stands. */
  readonly overview?: Overview | undefined;
  /** How clients are set up, told that they reach us by `origin`; absent where clients do not come. */
  readonly instructions?: ((origin: string) => readonly Instructions[]) | undefined;
}

/** The page on `/`, as text for who does not ask for HTML, with what belongs to it. */
export function pagesOf({ overview, instructions }: PagesOptions): Pages {
  const index: PageMaker = async (request) => {
    const { origin, query } = request;
    if (!wantsHtml(request)) return text(welcome(origin) + (overview ? statusText(await overview.status()) : ''));
    const sections: Section[] = [];
    if (overview !== undefined) sections.push(await statusPart(overview), await catalogPart(overview, query));
    const steps = instructions?.(origin);
    if (steps !== undefined) sections.push({ id: 'setup', name: 'Setup', markup: setupSection(steps) });
    return page(pageHtml(new URL(origin).host, sections, { script: overview !== undefined }));
  };
  const always = [
    ['/', index],
    ['/status.css', asset('text/css; charset=utf-8', PAGE_STYLE)],
    ['/status.svg', asset('image/svg+xml', ICON)],
  ] satisfies [string, PageMaker][];
  return new Map(overview === undefined ? always : [...always, ...livePages(overview)]);
}

function livePages(overview: Overview): readonly (readonly [string, PageMaker])[] {
  const status: PageMaker = async ({ origin }) =>
    page(pageHtml(new URL(origin).host, [await statusPart(overview)], { script: true }));
  const json: PageMaker = async ({ query }) => {
    const [now, catalog] = await Promise.all([overview.status(), overview.catalog.find(searchOf(query))]);
    const repositories = catalog.repositories.map(({ used, ...entry }) => ({
      ...entry,
      ...(used > 0 && { used: new Date(used).toISOString() }),
    }));
    return { contentType: 'application/json', body: JSON.stringify({ ...now, cached: { ...catalog, repositories } }) };
  };
  return [
    ['/status', status],
    ['/status.json', json],
    ['/status.js', asset('text/javascript; charset=utf-8', SCRIPT)],
  ];
}

async function statusPart(overview: Overview): Promise<Section> {
  const markup = statusSection(await overview.status(), Date.now());
  return { id: 'status', name: 'Status', markup };
}

async function catalogPart(overview: Overview, query: URLSearchParams): Promise<Section> {
  const markup = catalogSection(await overview.catalog.find(searchOf(query)), Date.now());
  return { id: 'cached', name: 'What is cached', markup };
}

/** Browsers name HTML; curl and the like take anything, and get what can be read on a terminal. */
function wantsHtml({ accept }: PageRequest): boolean {
  return accept.some((line) => /(?:^|[\s,])text\/html(?![^,]*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(line));
}

function page(body: string): Page {
  return { contentType: 'text/html; charset=utf-8', body, headers: { Vary: 'Accept' } };
}

function text(body: string): Page {
  return { contentType: 'text/plain; charset=utf-8', body, headers: { Vary: 'Accept' } };
}

function asset(contentType: string, body: string): PageMaker {
  return () => ({ contentType, body, headers: { 'Cache-Control': 'no-cache' } });
}
