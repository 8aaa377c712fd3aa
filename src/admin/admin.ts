import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';

/** What the admin listener tells. */
export interface AdminOptions {
  /** Whether requests are served: false before the listeners stand and while they drain. */
  readonly isReady: () => boolean;
  /** What an operator should do something about, although requests are served. */
  readonly warnings: () => readonly string[];
  /** How many processes serve; absent where one serves alone. */
  readonly processes?: () => Promise<number>;
  readonly metrics: () => Promise<string>;
  readonly metricsType: string;
}

/** `/livez`: the process runs; `/readyz`: it serves; `/metrics`: Prometheus text. */
export function createAdmin({ isReady, warnings, processes, metrics, metricsType }: AdminOptions): RequestListener {
  const answers: Readonly<Record<string, () => Promise<Answer>>> = {
    '/livez': async () => text(200, 'ok'),
    '/readyz': async () => {
      if (!isReady()) return text(503, 'not ready');
      const several = processes === undefined ? [] : [`processes: ${await processes()}`];
      return text(200, ['ok', ...several, ...warnings().map((line) => `warning: ${line}`)].join('\n'));
    },
    '/metrics': async () => ({ status: 200, type: metricsType, body: await metrics() }),
  };
  return (request, response) => {
    const path = (request.url ?? '').split('?', 1)[0] ?? '';
    const answer = Object.hasOwn(answers, path) ? answers[path] : undefined;
    const isRead = request.method === 'GET' || request.method === 'HEAD';
    const given = isRead
      ? (answer?.() ?? Promise.resolve(text(404, 'not found')))
      : Promise.resolve(text(405, 'only GET'));
    given.then((found) => send(request, response, found)).catch(() => send(request, response, text(500, 'failed')));
  };
}

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body: `${body}\n` };
}

function send({ method }: IncomingMessage, response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, { 'Content-Type': type, 'Content-Length': Buffer.byteLength(body) });
  response.end(method === 'HEAD' ? undefined : body);
}
