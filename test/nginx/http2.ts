import { createHash } from 'node:crypto';
import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { buffer } from 'node:stream/consumers';
import type { ManifestJson } from '../support/image.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export async function ask(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const stream = session.request({ ':path': path, ...headers });
  stream.end();
  const answered = new Promise<IncomingHttpHeaders>((resolve, reject) => {
    stream.once('response', resolve);
    stream.once('error', reject);
  });
  const fields = await answered;
  return { status: Number(fields[':status']), headers: fields, body: await buffer(stream) };
}

/** Pulls an image over one HTTP/2 connection as crane does, its layers at once, and returns how many blobs were right. */
export async function pullOverHttp2(host: string, ca: string, repository: string): Promise<number> {
  const session = connect(`https://${host}`, { ca });
  try {
    const ping = await ask(session, '/v2/');
    const [, realm = '', service = ''] =
      /^Bearer realm="([^"]+)",service="([^"]+)"/.exec(ping.headers['www-authenticate'] ?? '') ?? [];
    const { pathname, origin } = new URL(realm);
    if (ping.status !== 401 || origin !== `https://${host}`) throw new Error(`ping: ${ping.status}, realm ${realm}`);
    const token = await ask(
      session,
      `${pathname}?scope=repository%3A${encodeURIComponent(repository)}%3Apull&service=${service}`,
    );
    const headers = { authorization: `Bearer ${(JSON.parse(token.body.toString()) as { token: string }).token}` };
    const get = async (digest: string, family: 'manifests' | 'blobs'): Promise<Buffer> => {
      const { status, body } = await ask(session, `/v2/${repository}/${family}/${digest}`, headers);
      const is = `sha256:${createHash('sha256').update(body).digest('hex')}`;
      if (status !== 200 || (digest.includes(':') && is !== digest)) throw new Error(`${digest}: ${status}, ${is}`);
      return body;
    };
    const manifest = async (reference: string): Promise<ManifestJson> =>
      JSON.parse((await get(reference, 'manifests')).toString()) as ManifestJson;
    const top = await manifest('latest');
    const image = await manifest(top.manifests?.[0]?.digest ?? '');
    const blobs = [image.config, ...(image.layers ?? [])].flatMap((blob) => blob?.digest ?? []);
    await Promise.all(blobs.map((digest) => get(digest, 'blobs')));
    return blobs.length;
  } finally {
    session.destroy();
  }
}
