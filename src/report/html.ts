import { type Part, timeChart } from './chart.ts';
import { bytesText, countText, timeText, visible } from './figures.ts';
import type { Report } from './report.ts';
import { STYLE } from './style.ts';
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
    value: (value) => countText(Math.round(value)),
    time,
  });
  const bytes = timeChart(report, 'Bytes sent over time', BYTES, {
    value: (value) => bytesText(Math.round(value)),
    time,
  });
  const [times, ...tables] = tablesOf(report);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>Layover: what the cache did</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>What the cache did</h1>
<ul>${summaryOf(report)
    .map((line) => `<li>${escapeHtml(line)}</li>`)
    .join('')}</ul>
${figure('Requests for content', REQUESTS, requests)}${figure('Bytes sent', BYTES, bytes)}${times ? `<details><summary>The figures of both</summary>${tableHtml(times)}</details>` : ''}
${tables.map(tableHtml).join('\n')}
</main>
</body>
</html>
`;
}

function figure(title: string, parts: readonly Part[], svg: string): string {
  if (svg === '') return '';
  const legend = parts.map(({ kind, label }) => `<li class="${kind}">${label}</li>`).join('');
  return `<figure><figcaption><h2>${title}</h2><ul class="legend">${legend}</ul></figcaption>${svg}</figure>\n`;
}

/** A table that can be scrolled by keyboard where the window is too narrow for it. */
function tableHtml({ title, head, texts, rows }: ShownTable): string {
  const kind = (column: number): string => (column < texts ? '' : ' class="figure"');
  const heads = head.map((cell, column) => `<th scope="col"${kind(column)}>${cell}</th>`).join('');
  const body = rows.map(
    (row) =>
      `<tr>${row
        .map((cell, column) =>
          column === 0
            ? `<th scope="row">${escapeHtml(visible(cell))}</th>`
            : `<td${kind(column)}>${escapeHtml(visible(cell))}</td>`,
        )
        .join('')}</tr>`,
  );
  return `<section class="wide" tabindex="0" role="region" aria-label="${title}"><table><caption>${title}</caption><thead><tr>${heads}</tr></thead><tbody>${body.join('\n')}</tbody></table></section>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => ENTITIES[sign] ?? '');
}
