import { type Content, html, type Markup } from '../html/markup.ts';

/** One of the page's parts, with how its link is called. */
export interface Section {
  readonly id: string;
  readonly name: string;
  readonly markup: Markup;
}

/** The whole page. `script`: it renews itself. */
export function pageHtml(title: string, sections: readonly Section[], { script }: { script: boolean }): string {
  const links = sections.map(({ id, name }) => html`<li><a href="#${id}">${name}</a></li>`);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Layover: ${title}</title>
<link rel="icon" href="/status.svg" type="image/svg+xml">
<link rel="stylesheet" href="/status.css">
${script ? html`<script src="/status.js" defer></script>\n` : undefined}</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header>
<h1>Layover</h1>
<p>A caching gateway for container registries</p>
<nav aria-label="Parts of this page"><ul class="links">${links}</ul></nav>
</header>
<main id="main" tabindex="-1">
${sections.map(({ markup }): Content => markup)}</main>
<footer><p>${script ? html`<span id="live" role="status"></span> <a href="/status.json">This as JSON</a>` : undefined}</p></footer>
</body>
</html>
`.text;
}
