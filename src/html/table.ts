import { type Content, html, type Markup } from './markup.ts';

/** A table whose first column says what a row is about. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  /** How many columns, from the first on, are texts and not figures. */
  readonly texts: number;
  readonly rows: readonly (readonly Content[])[];
  /** Its rows change while they are looked at; unique on the page. */
  readonly id?: string;
}

/** The table in a part of the page that can be scrolled by keyboard where the window is too narrow for it. */
export function tableHtml({ title, head, texts, rows, id }: Table): Markup {
  const heads = head.map((cell, column) => html`<th scope="col"${kindOf(column, texts)}>${cell}</th>`);
  const name = id === undefined ? undefined : html` id="${id}" data-live`;
  const body = rows.map((row) => html`<tr>${row.map((cell, column) => cellHtml(cell, column, texts))}</tr>\n`);
  return html`<div class="wide" tabindex="0" role="region" aria-label="${title}"><table><caption>${title}</caption><thead><tr>${heads}</tr></thead><tbody${name}>${body}</tbody></table></div>`;
}

function cellHtml(cell: Content, column: number, texts: number): Markup {
  if (column === 0) return html`<th scope="row">${cell}</th>`;
  return html`<td${kindOf(column, texts)}>${cell}</td>`;
}

function kindOf(column: number, texts: number): Markup | undefined {
  return column < texts ? undefined : html` class="figure"`;
}
