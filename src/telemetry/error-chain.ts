import { redact } from './redact.ts';

const DEPTH = 8;

/** An error as the JSON log shows it. */
export interface DescribedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: DescribedError;
}

/** The messages of an error and its causes, outermost first, without repeating what the outer one already says. */
export function errorChain(error: unknown): string {
  const texts: string[] = [];
  for (const link of chain(error)) {
    const text = messageOf(link);
    if (!texts.some((outer) => outer.includes(text))) texts.push(text);
  }
  return redact(texts.join(': '));
}

/** An error and its causes as plain values; stacks are kept, secrets are not. */
export function describeError(error: unknown): DescribedError {
  let described: DescribedError | undefined;
  for (const link of chain(error).reverse()) {
    const code = link instanceof Error && 'code' in link ? String(link.code) : undefined;
    described = {
      name: link instanceof Error ? link.name : typeof link,
      message: redact(messageOf(link)),
      ...(code !== undefined && { code }),
      ...(link instanceof Error && link.stack !== undefined && { stack: redact(link.stack) }),
      ...(described && { cause: described }),
    };
  }
  return described ?? { name: typeof error, message: redact(String(error)) };
}

function chain(error: unknown): unknown[] {
  const links: unknown[] = [];
  for (let link = error; link !== undefined && link !== null && links.length < DEPTH; ) {
    links.push(link);
    link = link instanceof Error ? link.cause : undefined;
  }
  return links;
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.message !== '') return error.message;
  // Node's connect failure over several addresses has no message of its own.
  if (error instanceof AggregateError) return error.errors.slice(0, DEPTH).map(messageOf).join(', ');
  return error.name;
}
