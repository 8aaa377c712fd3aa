import { bytesText, countText, visible } from '../html/figures.ts';
import { html, Markup } from '../html/markup.ts';
import { STYLE } from '../html/style.ts';
import { tableHtml } from '../html/table.ts';
import { type Part, timeChart } from './chart.ts';
import { timeText } from './figures.ts';
import type { Report } from './report.ts';
import { CHART_STYLE } from './style.ts';
import { type ShownTable, tablesOf } from './tables.ts';
import { summaryOf } from './text.ts';

const REQUESTS: readonly Part[] = [
  { kind: 'hit', label: 'served from here', of: ({ hits }) => hits },
  { kind: 'miss', label: 'fetched or refused', of: ({ misses }) => misses },
  { kind: 'bypass', label: 'passed through', of: ({ bypasses }) => bypasses },
];
const BYTES: readonly Part[] = [
  { kind: 'hit', label: 'saved', of: ({ saved }) => saved },
  { kind: 'miss', label: 'not from here', of: ({ bytes, saved }) => bytes - saved },
];

/** The report as one page that needs nothing else: no scripts, and by its policy nothing that is loaded from anywhere. */
export function htmlReport(report: Report): string {
  const time = (iso: string): string => timeText(iso, report.span === 'day' ? 'day' : 'minute');
  const requests = timeChart(report, 'Requests for content over time', REQUESTS, {
    value: countText,
    time,
    base: 1000,
  });
  const bytes = timeChart(report, 'Bytes sent over time', BYTES, {
    value: bytesText,
    time,
    base: 1024,
  });
  const [times, ...tables] = tablesOf(report);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="color-scheme" content="light dark">
<title>Layover: what the cache did</title>
<style>${new Markup(STYLE + CHART_STYLE)}</style>
</head>
<body>
<main>
<h1>What the cache did</h1>
<ul>${summaryOf(report).map((line) => html`<li>${line}</li>`)}</ul>
${figure('Requests for content', REQUESTS, requests)}${figure('Bytes sent', BYTES, bytes)}${times && html`<details><summary>The figures of both</summary>${shown(times)}</details>`}
${tables.map((table) => html`${shown(table)}\n`)}
</main>
</body>
</html>
`.text;
}

const POLICY = new Markup("default-src 'none'; style-src 'unsafe-inline'");

function figure(title: string, parts: readonly Part[], svg: string): Markup | undefined {
  if (svg === '') return undefined;
  const legend = parts.map(({ kind, label }) => html`<li class="${kind}">${label}</li>`);
  return html`<figure><figcaption><h2>${title}</h2><ul class="legend">${legend}</ul></figcaption><div class="wide" tabindex="0" role="region" aria-label="${title}, as a picture">${new Markup(svg)}</div></figure>\n`;
}

function shown({ title, head, texts, rows }: ShownTable): Markup {
  return tableHtml({ title, head, texts, rows: rows.map((row) => row.map(visible)) });
}
