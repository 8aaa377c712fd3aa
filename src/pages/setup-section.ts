import { html, type Markup } from '../html/markup.ts';

/** How one kind of client is set up. */
export interface Instructions {
  readonly client: string;
  readonly title: string;
  readonly steps: readonly Step[];
}

export interface Step {
  readonly text: string;
  /** A file to write, with what stands in it. */
  readonly file?: string | undefined;
  readonly content?: string | undefined;
  /** What to type. */
  readonly command?: string | undefined;
}

/** How clients are set up to pull through this gateway. */
export function setupSection(instructions: readonly Instructions[]): Markup {
  return html`<section id="setup" aria-labelledby="setup-title">
<h2 id="setup-title">Setup</h2>
<p>The root certificate that clients have to trust: <a href="/ca.crt" download="layover.crt">ca.crt</a></p>
${instructions.map(
  ({ title, steps }, index) =>
    html`<details${index === 0 ? html` open` : undefined}><summary>${title}</summary><ol>${steps.map(stepHtml)}</ol></details>
`,
)}</section>
`;
}

function stepHtml({ text, file, content, command }: Step): Markup {
  return html`<li><p>${text}${file === undefined ? undefined : html` <code>${file}</code>`}</p>${code(content)}${code(command)}</li>`;
}

/** Long lines are scrolled, by keyboard too. */
function code(text: string | undefined): Markup | undefined {
  return text === undefined ? undefined : html`<pre tabindex="0"><code>${text}</code></pre>`;
}
