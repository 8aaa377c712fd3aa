/** Where our lines begin and end in a file; in shell, hosts files, TOML and YAML alike a comment. */
function marksOf(client: string): { readonly begin: string; readonly end: string } {
  return { begin: `# layover setup ${client}: begin`, end: `# layover setup ${client}: end` };
}

/** Either mark of any client. */
export const ANY_MARK: RegExp = /^\s*# layover setup [a-z0-9]+: (begin|end)$/;

/**
 * The text with our lines between marks: at its end, or first under the key `below` of a YAML mapping, which is made when
 * it is not there.
 */
export function putBlock(text: string, client: string, content: string, below?: string): string {
  const { begin, end } = marksOf(client);
  const before = text === '' || text.endsWith('\n') ? text : `${text}\n`;
  if (below === undefined) return `${before}${begin}\n${content}${end}\n`;
  const heading = new RegExp(`^${below}[ \\t]*:[ \\t]*(#.*)?$`, 'm').exec(before);
  if (heading === null) return `${before}${begin}\n${below}:\n${indented(content, '  ')}${end}\n`;
  const at = heading.index + heading[0].length + 1;
  const rest = before.slice(at);
  const indent = /^(?:[ \t]*(?:#.*)?\n)*( +)[^ #\n]/.exec(rest)?.[1] ?? '  ';
  return `${before.slice(0, at)}${indented(`${begin}\n${content}${end}\n`, indent)}${rest}`;
}

/** The text without our lines; undefined when they are not in it. */
export function takeBlock(text: string, client: string): string | undefined {
  const { begin, end } = marksOf(client);
  const lines = text.split('\n');
  const first = lines.findIndex((line) => line.trim() === begin);
  const last = lines.findIndex((line, index) => index > first && line.trim() === end);
  if (first < 0 || last < 0) return undefined;
  return [...lines.slice(0, first), ...lines.slice(last + 1)].join('\n');
}

function indented(text: string, indent: string): string {
  return text.replace(/^(?=.)/gm, indent);
}
