import { bytesText, countText, visible } from '../html/figures.ts';
import { html, type Markup } from '../html/markup.ts';
import { tableHtml } from '../html/table.ts';
import type { CatalogPage } from './catalog.ts';
import { agoHtml } from './times.ts';

/** What is cached, with a search of it. */
export function catalogSection(shown: CatalogPage, now: number): Markup {
  return html`<section id="cached" aria-labelledby="cached-title">
<h2 id="cached-title">What is cached</h2>
<form action="/#cached" role="search"><label for="q">Part of a name</label> <input id="q" name="q" type="search" value="${shown.query}" maxlength="100" autocapitalize="none" spellcheck="false"> <button>Search</button></form>
<p>${foundText(shown)} Only what everybody may read is listed.</p>
${shown.repositories.length === 0 ? undefined : table(shown, now)}
${paging(shown)}
</section>
`;
}

function foundText({ state, query, found, page, pages }: CatalogPage): string {
  if (state === 'reading') return 'This is being looked up: load the page again in a moment.';
  const what = found === 1 ? '1 repository' : `${countText(found)} repositories`;
  const named = query === '' ? '' : ` with \u201c${visible(query)}\u201d`;
  return `${what}${named}${pages > 1 ? `, page ${page} of ${pages}` : ''}.`;
}

function table({ repositories }: CatalogPage, now: number): Markup {
  return tableHtml({
    title: 'Repositories, the last used first',
    head: ['repository', 'last use', 'size'],
    texts: 2,
    rows: repositories.map(({ repository, size, used }) => [
      visible(repository),
      used === 0 ? 'not known' : agoHtml(used, now),
      bytesText(size),
    ]),
  });
}

function paging({ query, page, pages }: CatalogPage): Markup | undefined {
  if (pages === 1) return undefined;
  const link = (to: number, text: string): Markup =>
    html`<li><a href="${`/?${new URLSearchParams({ ...(query !== '' && { q: query }), page: String(to) })}#cached`}">${text}</a></li>`;
  return html`<nav aria-label="Pages of repositories"><ul class="links">${page > 1 ? link(page - 1, 'Previous page') : undefined}${page < pages ? link(page + 1, 'Next page') : undefined}</ul></nav>`;
}
